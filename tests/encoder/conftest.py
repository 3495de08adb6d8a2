"""Small random models, for what does not depend on meaning."""

import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from liber_tasks.config import Settings
from liber_tasks.encoder.knowledge import model_folder

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
POSITIONS = 12  # of the two models with few


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 8 numbers with MiniLM's tokenizer and 512 positions."""
    return bert(tmp_path_factory.mktemp("tiny") / "bert", seed=1)


@pytest.fixture(scope="session")
def short_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 12 positions only."""
    return bert(tmp_path_factory.mktemp("tiny") / "short", seed=1, max_position_embeddings=POSITIONS)


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of one letter a token: 12 positions, of which the two up to the padding token's cannot be used."""
    folder = tmp_path_factory.mktemp("tiny") / "roberta"
    words = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(1)
    config = RobertaConfig(**SMALL, vocab_size=len(words), pad_token_id=1, max_position_embeddings=POSITIONS)
    RobertaModel(config).save_pretrained(folder)
    return folder


def bert(folder: Path, *, seed: int, **shape: int) -> Path:
    """Save a random BERT with MiniLM's tokenizer."""
    shutil.copytree(model_folder("minilm"), folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.h5"))
    torch.manual_seed(seed)
    BertModel(BertConfig(**SMALL, **shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_settings(settings: Settings, tiny_bert: Path) -> Settings:
    """Settings of the small encoder, 8 numbers a vector."""
    return settings.model_copy(update={"encoder": str(tiny_bert), "encoder_dimension": 8})
