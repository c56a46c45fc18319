"""What is asked of one document: clauses, values and deadlines, by a question, a playbook or a schema."""
