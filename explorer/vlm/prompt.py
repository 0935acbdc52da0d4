"""A question as token ids: checked, cleaned of control tokens, put into the chat template.

Knows tokenizers and chat templates, not pictures. Shared by every family.
"""

from __future__ import annotations

from explorer.errors import BadQuestion, ModelUnavailable
from explorer.vlm.components import ChatPrompt

MAX_CHARACTERS = 500


def check_question(question: str) -> str:
    """Give the question without surrounding blanks, or raise `BadQuestion` with a sentence."""
    question = " ".join(question.split())
    if not question:
        raise BadQuestion("Please type a question about the picture.")
    if len(question) > MAX_CHARACTERS:
        raise BadQuestion(
            f"The question has {len(question)} characters; please keep it under "
            f"{MAX_CHARACTERS + 1}."
        )
    return question


def without_control_tokens(question: str, tokenizer) -> str:
    """Blank out the model's control tokens, so that a question can't smuggle in a picture or EOS.

    Repeated until nothing changes, since a removal may join the halves of another token.
    """
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    tokens = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
    before = None
    while before != question:
        before = question
        for token in tokens:
            question = question.replace(token, " ")
    return question


def unknown_words(question: str, tokenizer) -> list[str]:
    """List the words that the model can only read as "unknown", in the order of the question."""
    if tokenizer.unk_token_id is None:
        return []
    read = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
    words = [question[a:b] for token, (a, b) in pairs if token == tokenizer.unk_token_id]
    return list(dict.fromkeys(word for word in words if word))


def build_chat(
    processor, question: str, placeholder: str, picture: str, image_id: int, kind: str = "image"
) -> ChatPrompt:
    """Write the prompt with the model's own chat template.

    placeholder: what the template writes for a picture, or for another kind: "video"; picture: what
    takes its place, visual tokens (image_id) and whatever the model wants around and between them,
    which is no text.
    """
    tokenizer = processor.tokenizer
    question = without_control_tokens(question, tokenizer)
    content = [{"type": kind}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    picture_start = text.find(placeholder)
    if picture_start < 0:
        raise ModelUnavailable(f"This model's chat template has no place for a {kind}.")
    text = text.replace(placeholder, picture, 1)
    has_bos = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    encoded = tokenizer(
        text, add_special_tokens=not has_bos, return_offsets_mapping=True, return_tensors="pt"
    )
    input_ids = encoded["input_ids"]
    is_visual, start = input_ids[0] == image_id, encoded["offset_mapping"][0, :, 0]
    control = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    is_text = (start < picture_start) | (start >= picture_start + len(picture))
    for token in control:
        if token is not None:
            is_text &= input_ids[0] != token
    if input_ids[0, 0] != tokenizer.bos_token_id:
        is_text[0] = False
    # The template may trim the question.
    question_end = text.rfind(question.strip()) + len(question.strip())
    n_response_header = max(1, int((start >= question_end).sum()))
    return ChatPrompt(input_ids, is_visual.nonzero()[:, 0], is_text, n_response_header)
