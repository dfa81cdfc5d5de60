/* gguf_adapter: a LoRA as llama.cpp has it, one GGUF file: general.type "adapter", adapter.type "lora",
 * adapter.lora.alpha, and for each weight NAME.lora_a [r,in] and NAME.lora_b [out,r] under the model's GGUF names
 * (llama.cpp's src/llama-adapter.cpp, convert_lora_to_gguf.py). q's and k's rows are permuted as in the model's own
 * GGUF; token_embd's lora_a is [V,r]. What is added is alpha/r·B·A, r being that tensor's own. */
#ifndef ADAPT_GGUF_ADAPTER_H
#define ADAPT_GGUF_ADAPTER_H

#include "adapt/adapter.h"
#include "format/gguf.h"

bool gguf_adapter_is(const char *path);    /* a file that begins as GGUF does */
/* As the PEFT folder that it stands for: its config, and its tensors under PEFT's names in Hugging Face's order. On an
 * error there is neither. */
int gguf_adapter_open(json_t **config, struct safetensors *s, const char *path, const struct model *m, struct err *e);
/* s points into g's bytes */
int gguf_adapter_read(json_t **config, struct safetensors *s, const struct gguf *g, const struct model *m,
                      struct err *e);
/* Refused, with the reason, where llama.cpp has no place for what the adapter does: modules saved whole, a tied model's
 * embedding or head. dtype: F32 or F16. */
int gguf_adapter_save(const struct adapter *a, const struct model *m, const char *path, enum dtype dtype,
                      struct err *e);

#endif
