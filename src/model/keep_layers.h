/* keep_layers: a smaller model of some of a larger one's layers, in their order, all else as it is: what a student
 * begins as. Weights stay where they are; nothing may lie over the model yet.
 *
 * what: "0,2,5", or "6": so many of them, evenly spread, the first and the last among them. Models whose layers differ
 * by their number (windows in turn, layers without positions, dense ones among a mixture's) are refused by name. */
#ifndef MODEL_KEEP_LAYERS_H
#define MODEL_KEEP_LAYERS_H

#include "model/model.h"

int model_keep_layers(struct model *m, const char *what, struct err *e);

#endif
