/* rung_ia3: (IA)3, vectors that scale keys, values and the feed-forward (Liu et al. 2022). */
#include "ladder/rung_training.h"

RUNG_TRAINING(ia3, "ia3", 50, "vectors that scale what layers make", "lora", "method", "ia3");
