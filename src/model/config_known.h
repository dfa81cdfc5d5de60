/* config_known: what every model's files may say besides the facts of its architecture (model/config.h): tables of
 * transformers' PreTrainedConfig and rope parameters, and of llama.cpp's metadata. An architecture's rows come first,
 * so one that reads a key that is refused here has a row of its own. */
#ifndef MODEL_CONFIG_KNOWN_H
#define MODEL_CONFIG_KNOWN_H

#include "format/settings.h"

extern const struct setting config_known[];        /* config.json */
extern const struct setting rope_known[];          /* in its rope_parameters or rope_scaling, positions being plain */
extern const struct setting gguf_arch_known[];     /* GGUF metadata behind "<architecture>." */
extern const struct setting gguf_other_known[];    /* "general.", "tokenizer." and "split." */

#endif
