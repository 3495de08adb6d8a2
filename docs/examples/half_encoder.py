"""An encoder of one's own: the packaged MiniLM with half of its layers, saved to a folder. Usage: FOLDER."""

import sys

from transformers import AutoModel, AutoTokenizer

from liber_tasks.encoder.knowledge import PACKAGED, model_folder

source = model_folder(PACKAGED)
model = AutoModel.from_pretrained(source)
model.encoder.layer = model.encoder.layer[:3]
model.config.num_hidden_layers = 3
model.save_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(source).save_pretrained(sys.argv[1])
