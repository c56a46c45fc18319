"""The language model: llama.cpp, prompt cache, sampling."""
