/* rung_soft_prompt: virtual tokens before every text, which alone are trained (Lester et al. 2021). */
#include "ladder/rung_training.h"

RUNG_TRAINING(soft_prompt, "soft-prompt", 40, "virtual tokens before every text are trained", "lora", "method",
              "prompt_tuning");
