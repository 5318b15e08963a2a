"""Training of text-to-text models from recipes.

    recipe = load_recipe("my.toml", ["training.epochs=3"])
    run = train_recipe(recipe, "runs/my")
    evaluate_run(run)["bleu"]
    run.text_to_text()(["ein Hund"])

The public names load on first use: importing the package loads no framework.
"""

from keras_attn.extras import require
from keras_attn.lazy import lazy_names

require("tensorflow", "babel", "sacrebleu", "tomli_w")

_HOMES = {
    "Batches": "batches.batches",
    "DataError": "data.text_files",
    "NonFiniteError": "callbacks.non_finite",
    "Recipe": "recipe.recipe",
    "RecipeError": "recipe.section",
    "RunError": "errors",
    "RunFolder": "run.run_folder",
    "average_epochs": "run.averaging",
    "compare_runs": "run_comparison",
    "encode_pairs": "data.encoded_pairs",
    "evaluate_run": "run_evaluation",
    "load_corpus": "data.corpus",
    "load_recipe": "recipe.toml",
    "train_recipe": "run_training",
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
