"""The web app under Gradio: which files it serves and takes, and which requests it refuses."""
