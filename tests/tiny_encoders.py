"""Encoders with random weights, saved as sentence-transformers saves them: for tests of what depends on the layout."""

_WORDS = (
    "the lease ends in may notice contract supplier shall give written days of and a b c e x 1 2 . , ( ) | -".split()
)


def encoder(folder, family="bert", pooling="mean", *, normalise=True):
    """A model of two layers and a few words; whatever else a text holds is unknown to it."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    layers = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    if family == "distilbert":
        layers = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
    raw, tokenizer = folder / "raw", _tokenizer()
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), max_position_embeddings=80, **layers, **ids)
    AutoModel.from_config(config).save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    transformer = Transformer(str(raw), max_seq_length=64)
    parts = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    SentenceTransformer(modules=[*parts, *([Normalize()] if normalise else [])], device="cpu").save(
        str(folder / "model")
    )
    return folder / "model"


def _tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def cross_encoder(folder, labels=1):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    layers = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    more = {"max_position_embeddings": 80, "num_labels": labels, "pad_token_id": 0}
    config = AutoConfig.for_model("bert", vocab_size=len(tokenizer), **layers, **more)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder / "cross")
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder / "cross")
    return folder / "cross"


def headed(folder):
    """A cross-encoder laid out like Ettin's: a ModernBERT of two layers, and its head in folders of their own."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    tokenizer, raw = _tokenizer(), folder / "raw"
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3}
    layers = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    config = AutoConfig.for_model("modernbert", vocab_size=len(tokenizer), max_position_embeddings=80, **layers, **ids)
    AutoModel.from_config(config).save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    head = [
        Pooling(64, pooling_mode="cls"),
        Dense(64, 64, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(64),
        Dense(64, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    CrossEncoder(modules=[Transformer(str(raw), max_seq_length=64), *head]).save_pretrained(str(folder / "model"))
    return folder / "model"
