/* model_memory: weights and program as they are now, everything else from dry passes: a session made and freed, or an
 * encoder's micro-batch, and a step of either kind of tuning (train/dry_pass.h). See model_memory.h. */
#include "train/model_memory.h"

#include "base/mem.h"
#include "infer/session.h"
#include "model/prepare.h"
#include "op/kv_cache.h"
#include "train/dry_pass.h"

enum { SESSION_MAX = 4096 /* a longer context is only multiplied, not mapped */ };

static int measure_session(struct model_memory *out, struct model *m, struct device *d, struct err *e)
{
	struct session *s;
	size_t work, cache;
	int limit = MIN(m->config.n_ctx, SESSION_MAX);
	struct session_size size = { .n_ctx = limit, .cache = { DTYPE_F16, DTYPE_F16 } }; /* as commands keep it */

	if (session_new(&s, m, NULL, d, &size, e) < 0)
		return -1;
	session_bytes(s, &work, &cache);
	session_free(s);
	out->run = out->weights + model_prepare_growth(m) + out->program + work;
	if (m->config.arch->state) { /* of one size whatever the context */
		out->cache = cache;
		return 0;
	}
	out->cache_token = cache / ROUND_UP((size_t)limit, (size_t)KV_RANGE);
	out->cache = out->cache_token * (size_t)m->config.n_ctx;
	return 0;
}

/* Arena, scratch, batch and state of a training step. */
static int measure_step(size_t *bytes, const struct model *m, struct device *d, const struct overlay *o, struct err *e)
{
	struct model_pass p;

	if (dry_pass_begin(&p, d, m, o, true, MODEL_MEMORY_TOKENS, e) < 0)
		return -1;
	int status = pass_plan(&p.pass, NULL, e);
	if (status == 0)
		*bytes = pass_bytes(&p.pass) + dry_pass_state_bytes(d, &o->params);
	model_pass_release(&p);
	return status;
}

static int measure_adapter(struct model_memory *out, const struct model *m, const struct adapter_type *type,
                           struct device *d, struct err *e)
{
	struct adapter a;
	size_t step = 0;

	if (adapter_new_named(&a, type->name, m, (const char *const[]){ NULL }, 0, e) < 0)
		return -1;
	int status = measure_step(&step, m, d, &a.overlay, e);
	out->adapter = out->weights + out->program + step;
	adapter_release(&a);
	return status;
}

/* The parameters are named, not taken: a plan needs only their shapes. */
static int measure_full(struct model_memory *out, const struct model *m, struct device *d, struct err *e)
{
	struct overlay all;
	size_t step = 0;

	overlay_init(&all, m);
	overlay_replace_all(&all, m);
	int status = measure_step(&step, m, d, &all, e);
	out->full = out->program + step;
	overlay_release(&all);
	return status;
}

void model_memory_now(struct model_memory *out, const struct model *m)
{
	size_t owned = 0;

	*out = (struct model_memory){ 0 };
	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		out->weights += w->bytes;
		owned += w->owned ? w->bytes : 0;
		source_forget(&m->source, w->data, w->bytes);
	}
	out->program = mem_rss() - MIN(owned, mem_rss());
}

/* An encoder has no session, nor has what classifies: micro-batches are computed. */
static int measure_forward(struct model_memory *out, const struct model *m, struct device *d, struct err *e)
{
	struct model_pass p;

	if (dry_pass_begin(&p, d, m, NULL, false, MODEL_MEMORY_TOKENS, e) < 0)
		return -1;
	int status = pass_plan(&p.pass, NULL, e);
	if (status == 0)
		out->run = out->weights + out->program + pass_bytes(&p.pass);
	model_pass_release(&p);
	return status;
}

int model_memory(struct model_memory *out, struct model *m, const struct adapter_type *type, struct device *d,
                 struct err *e)
{
	model_memory_now(out, m);
	if (m->config.arch->encoder || m->labels)
		return measure_forward(out, m, d, e);
	if (measure_session(out, m, d, e) < 0 || measure_adapter(out, m, type, d, e) < 0)
		return -1;
	return measure_full(out, m, d, e);
}
