/* rung_bitfit: the biases alone (Ben Zaken et al. 2022), of models that have some. */
#include "ladder/rung_training.h"

RUNG_TRAINING(bitfit, "bitfit", 51, "the biases alone are trained", "lora", "method", "bitfit");
