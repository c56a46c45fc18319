"""A Whisper model of a few megabytes for tests: CTranslate2 loads and runs it, and it says the same of every window.

Its weights are zeros but for the positions: each points to the token that comes next.
"""

import numpy as np
from tokenizers import AddedToken, Tokenizer, models

SCRIPT = ("<|0.00|>", "The", "lease", "ends", "in", "May.", "<|4.00|>", "<|4.00|>", "Rent", "is", "due.", "<|8.00|>")
_SIZE = 64
_WORDS = 50_256  # then an empty one, by which CTranslate2 knows that a model has languages
_AFTER = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", *(f"<|language{at}|>" for at in range(98))),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
    *(f"<|{at / 50:.2f}|>" for at in range(1501)),
)


def tiny_whisper(folder, script=SCRIPT, certainty=4.0):
    """Write a model that says a script; with a certainty below 1 it doubts itself."""
    import ctranslate2

    folder.mkdir(parents=True)
    words = list(dict.fromkeys(word for word in script if not word.startswith("<|")))
    tokens = [*words, *(f"unused{at}" for at in range(_WORDS - len(words))), "", *_AFTER]
    said = {token: at for at, token in enumerate(dict.fromkeys(("<|en|>", *script, "<|endoftext|>")))}
    weights = np.zeros((len(tokens), _SIZE), np.float32)
    for token, at in said.items():
        weights[tokens.index(token), at] = 1
    positions = np.zeros((448, _SIZE), np.float32)
    for at, token in enumerate(("<|en|>", "<|en|>", *script)):
        positions[at, said[token]] = 100
    positions[2 + len(script) :, said["<|endoftext|>"]] = 100
    spec = ctranslate2.specs.WhisperSpec(1, 1, 1, 1)
    _fill(spec, weights, positions, certainty)
    spec.register_vocabulary(tokens)
    spec.config.lang_ids = [tokens.index("<|en|>")]
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.alignment_heads = [[0, 0]]
    spec.validate()
    spec.optimize("int8")
    spec.save(str(folder))
    tokenizer = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, words[0]))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens if token.startswith("<|")])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _fill(spec, weights, positions, certainty):
    size, encoder, decoder = _SIZE, spec.encoder, spec.decoder
    for conv, width in ((encoder.conv1, 80), (encoder.conv2, size)):
        conv.weight, conv.bias = np.zeros((size, width, 3), np.float32), np.zeros(size, np.float32)
    encoder.position_encodings.encodings = np.zeros((1500, size), np.float32)
    decoder.position_encodings.encodings = positions
    decoder.embeddings.weight = decoder.projection.weight = weights
    for layer in (*encoder.layer, *decoder.layer):
        _linear(layer.self_attention.linear, (3 * size, size), (size, size))
        _linear((layer.ffn.linear_0, layer.ffn.linear_1), (4 * size, size), (size, 4 * size))
        _norm(layer.self_attention.layer_norm, layer.ffn.layer_norm)
    for layer in decoder.layer:
        _linear(layer.attention.linear, (size, size), (2 * size, size), (size, size))
        _norm(layer.attention.layer_norm)
    _norm(encoder.layer_norm)
    _norm(decoder.layer_norm, gamma=certainty)


def _linear(layers, *shapes):
    for layer, shape in zip(layers, shapes, strict=True):
        layer.weight, layer.bias = np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)


def _norm(*layers, gamma=1.0):
    for layer in layers:
        layer.gamma, layer.beta = np.full(_SIZE, gamma, np.float32), np.zeros(_SIZE, np.float32)
