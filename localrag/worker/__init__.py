"""What stands behind a face: documents and models, in this process or in a worker of localrag's own."""
