/* quantized: checkpoints of Hugging Face's form whose matrices are stored by another program's quantizer, which
 * config.json's quantization_config names. Each such matrix becomes one of plain numbers when the model is opened, or
 * stays one of 4 bits (quant/nf4.h), in memory of its own; what it was made of is no tensor of the model any more.
 *
 *     gptq (4 or 8 bits)   w[o][i] = s[g][o]·(q[i][o] − z[g][o])     g = g_idx[i], or i/group_size        F16
 *                          z is stored less 1, modulo 2^bits (checkpoint_format gptq_v2: as it is)
 *                          (Frantar et al. 2023; AutoGPTQ's QuantLinear)
 *     awq (4 bits, gemm)   the same of groups in order; of 8 numbers beside each other those at 0 2 4 6 1 3 5 7 stand
 *                          in a word from its lowest bits on, z as it is                                  F16
 *                          (Lin et al. 2024; AutoAWQ's WQLinear_GEMM)
 *     fp8                  w = F8·scale of its tile (weight_block_size), row or matrix                           BF16
 *     compressed-tensors   the same, of its format float-quantized
 *     bitsandbytes         w = map[q]·s of its block, of 4 bits (nf4, fp4); s as it is, or map'[s₈]·s' of its own
 *                          block + offset (double quantization)         4 bits; its dtype where blocks of 64
 *                          do not fit its rows or its maps are not bitsandbytes' own
 *                          (Dettmers et al. 2023; bitsandbytes' QuantState)
 *
 * Numbers are packed from a word's lowest bits on: q along the inputs (GPTQ) or the outputs (AWQ), z along the outputs.
 * The product is computed in f32 and rounded once. Other quantizers, and other forms of these, are refused by name. */
#ifndef FORMAT_QUANTIZED_H
#define FORMAT_QUANTIZED_H

#include <jansson.h>

#include "format/source.h"

/* Is quantization_config one of those that are read? −1 and a sentence. */
int quantized_check(const json_t *quantization_config, const char *where, struct err *e);
/* Of a folder whose shards are open and whose config says so: fills s->list with all tensors, those that were made
 * among them. Does nothing where there is no quantization_config of ours. */
int quantized_open(struct source *s, struct err *e);
void quantized_close(struct source *s);

#endif
