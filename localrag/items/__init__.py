"""Check documents against the positions of a playbook, clause by clause."""
