/* quantize_time: how long it takes to pack what a list has, by a few rows of each type. */
#ifndef CMD_QUANTIZE_TIME_H
#define CMD_QUANTIZE_TIME_H

#include "base/pool.h"
#include "format/quantize_gguf.h"

/* gptq: rounded with compensation where the type can be (quant/gptq.h), whose time grows with the columns too; factors
 * are there by then. */
int quantize_seconds(const struct quantize_list *l, bool gptq, struct pool *p, double *seconds, struct err *e);

#endif
