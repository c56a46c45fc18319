"""What keeps documents private: storage and encryption, the sandbox, the offline layers, the audit record."""
