/* synced: a reference that follows what is trained (Gorbatovski et al. 2024, Learn Your Reference Model for Real Good
 * Alignment: TR-DPO). Options, defaults and arithmetic are those of TRL's SyncRefModelCallback.
 *
 *     after every --ref-model-sync-steps steps     v = (1 − α)·v + α·w     α: --ref-model-mixup-alpha
 *
 * w are the numbers that are trained, v those of the reference, which begin as w. TRL does this where all weights are
 * trained; of an adapter it is done here to the adapter's own numbers, so of LoRA to A and B and not to their product.
 * Whoever asks the reference swaps v and w, and swaps them back: nothing that runs a model knows of it. A checkpoint
 * has v. */
#ifndef TRAIN_SYNCED_H
#define TRAIN_SYNCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "base/pool.h"

/* mixup_alpha NAN, sync_steps OPT_UNSET_INT: their defaults */
struct synced_options { bool sync; double mixup_alpha; int64_t sync_steps; };

#define SYNCED_OPTS(s, f) \
	OPT_FLAG("sync-ref-model", s, f.sync, "false", "the reference follows what is trained (TR-DPO)"), \
		OPT_FLOAT("ref-model-mixup-alpha", s, f.mixup_alpha, NULL, 0, 1, \
	                  "how much of what is trained goes into it at once (0.6)"), \
		OPT_INT("ref-model-sync-steps", s, f.sync_steps, NULL, 1, 1000000000, \
	                "steps from one time to the next (512)")

/* Of a run; o NULL: its reference stays. */
struct synced {
	const struct synced_options *o;
	float *w, *v;                  /* [n] w is another's; v NULL until the start */
	size_t n;
	struct pool *pool;
	void (*changed)(void *ctx);    /* w has other numbers */
	void *ctx;
};

/* −1: options that mean nothing without --sync-ref-model. */
int synced_check(const struct synced_options *o, struct err *e);
long synced_every(const struct synced *s);
size_t synced_bytes(const struct synced *s);
/* v becomes w. Release it in any case. */
int synced_start(struct synced *s, struct err *e);
void synced_swap(struct synced *s);
void synced_step(struct synced *s, long done);         /* so many steps are done */
void synced_release(struct synced *s);

#endif
