/* synced: see synced.h. Both loops go over pieces of the buffer, each number by itself, so no bit depends on who has
 * which piece. */
#include "train/synced.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { PIECE = 1 << 16 };

int synced_check(const struct synced_options *o, struct err *e)
{
	if (!o->sync && (!isnan(o->mixup_alpha) || o->sync_steps != OPT_UNSET_INT))
		return err_set(e, "%s is of a reference that follows what is trained: --sync-ref-model is wanted "
		                  "beside",
		               isnan(o->mixup_alpha) ? "--ref-model-sync-steps" : "--ref-model-mixup-alpha");
	return 0;
}

long synced_every(const struct synced *s) { return s->o->sync_steps == OPT_UNSET_INT ? 512 : (long)s->o->sync_steps; }

size_t synced_bytes(const struct synced *s) { return s->o ? s->n * sizeof(float) : 0; }

int synced_start(struct synced *s, struct err *e)
{
	void *memory;

	if (!s->o)
		return 0;
	if (mem_map(&memory, synced_bytes(s), "the reference's own numbers", e) < 0)
		return -1;
	s->v = memory;
	mem_touch(memory, synced_bytes(s));
	memcpy(s->v, s->w, synced_bytes(s));
	return 0;
}

void synced_release(struct synced *s)
{
	if (s->v)
		mem_unmap(s->v, synced_bytes(s));
	s->v = NULL;
}

static void swap_piece(void *ctx, size_t item, int thread)
{
	const struct synced *s = ctx;
	(void)thread;

	for (size_t i = item * PIECE, end = MIN(i + PIECE, s->n); i < end; i++) {
		float x = s->w[i];
		s->w[i] = s->v[i];
		s->v[i] = x;
	}
}

static void mix_piece(void *ctx, size_t item, int thread)
{
	const struct synced *s = ctx;
	double share = isnan(s->o->mixup_alpha) ? 0.6 : s->o->mixup_alpha;
	float new = (float)share, old = (float)(1 - share);
	(void)thread;

	for (size_t i = item * PIECE, end = MIN(i + PIECE, s->n); i < end; i++)
		s->v[i] = old * s->v[i] + new * s->w[i];
}

static size_t pieces(const struct synced *s) { return (s->n + PIECE - 1) / PIECE; }

void synced_swap(struct synced *s)
{
	pool_run(s->pool, pieces(s), swap_piece, s);
	s->changed(s->ctx);
}

void synced_step(struct synced *s, long done)
{
	if (s->o && done % synced_every(s) == 0)
		pool_run(s->pool, pieces(s), mix_piece, s);
}
