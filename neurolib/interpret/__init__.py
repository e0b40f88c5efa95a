"""What happens inside a model: read it, change it, take it apart."""
