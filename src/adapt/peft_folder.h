/* peft_folder: a folder as PEFT writes it. adapter_fit, adapter_fill and adapter_save (adapter.h) are its other
 * half. */
#ifndef ADAPT_PEFT_FOLDER_H
#define ADAPT_PEFT_FOLDER_H

#include "adapt/adapter.h"

/* Its config, and its tensors mapped. On an error there are no tensors; *config may be there, and is the caller's. */
int peft_folder_open(json_t **config, struct safetensors *s, const char *dir, struct err *e);

/* A key of the tensors' metadata: how the base was quantized as it was read (four_bit_config). */
#define BASE_CONFIG "quantization_config"

#endif
