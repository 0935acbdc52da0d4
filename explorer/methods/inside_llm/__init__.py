"""Methods that drop tokens between the layers of the language model."""
