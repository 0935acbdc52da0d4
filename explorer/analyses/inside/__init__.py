"""What happens inside an answer: what each word reads, and where the answer is made."""
