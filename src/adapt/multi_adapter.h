/* multi_adapter: adapters of one model as one, for batches whose sequences have different ones: the model's weights
 * are read once for all of them. */
#ifndef ADAPT_SEVERAL_H
#define ADAPT_SEVERAL_H

#include "adapt/adapter.h"

/* Makes `out` of n (1 to ADAPTERS_MOST) adapters of any kind; a segment's `adapter` says which one its rows go through
 * (session_use). A row's results are, bit for bit, those that it has with its adapter alone, or with none.
 * names[i] stands in sentences. Numbers of pairs of low rank are copied; other adapters are taken, and are nothing
 * afterwards: multi_adapter_unmake gives them back. One that is all zeros is none: its number is nobody's. Refused are
 * numbers of an adapter's own for what it adds to, and what is not finite.
 * Released by adapter_release; it is neither trained nor saved, and computes logits alone. */
int multi_adapter_make(struct adapter *out, const struct model *m, struct adapter *adapters, const char *const *names,
                       size_t n, struct err *e);
/* Releases it; those that it took are in `adapters`, that it was made of, again. */
void multi_adapter_unmake(struct adapter *out, struct adapter *adapters);

#endif
