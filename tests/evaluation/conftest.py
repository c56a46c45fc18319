from office import make_dataset, make_documents, make_model, make_settings  # noqa: F401
