/* rung_lora_large: LoRA of four times the rank and twice the passes: where the small one still lacks room or time. */
#include "ladder/rung_training.h"

RUNG_TRAINING(lora_large, "lora-large", 70, "an adapter of a higher rank, trained for longer", "lora", "method",
              "lora");
