/* info_memory: see info_memory.h. A job's own figure, with its rows, is what `plan` gives. */
#include "cmd/info_memory.h"

#include <stdio.h>

#include "base/mem.h"
#include "infer/session.h"
#include "model/model_pass.h"
#include "model/prepare.h"
#include "op/kv_cache.h"
#include "train/optim.h"

enum { SESSION_MAX = 4096 /* a longer context is only multiplied, not mapped */ };

static int measure_session(struct info_memory *out, struct app *app, struct loaded *l, struct err *e)
{
	struct session *s;
	size_t work, cache;
	int limit = MIN(l->model.config.n_ctx, SESSION_MAX);

	if (session_new(&s, &l->model, NULL, app->pool, app->kernels,
	                &(struct session_size){ .n_ctx = limit,
	                                        .cache = { DTYPE_F16, DTYPE_F16 } } /* the default of CACHE_OPTS */,
	                e) < 0)
		return -1;
	session_bytes(s, &work, &cache);
	session_free(s);
	out->run = out->weights + model_prepare_growth(&l->model) + out->program + work;
	out->cache_token = cache / ROUND_UP((size_t)limit, (size_t)KV_RANGE);
	out->cache = out->cache_token * (size_t)l->model.config.n_ctx;
	return 0;
}

/* Arena, scratch and batch of a training step. */
static int plan_step(size_t *bytes, struct app *app, const struct model *m, const struct overlay *o, struct err *e)
{
	int32_t docs = INFO_ROWS / m->config.n_ctx + 1;
	struct batch_cap cap = { .rows = INFO_ROWS,
		                 .targets = INFO_ROWS - 1,
		                 .labels = INFO_ROWS - 1,
		                 .segments = docs,
		                 .docs = docs,
		                 .keys = INFO_ROWS };
	struct device d = device_cpu(app->kernels, app->pool);
	struct model_pass p;
	int status = -1;

	model_pass_begin(&p, &d, &cap, m, o, true);
	graph_logprob(&p.graph, graph_hidden(&p.graph));
	if (tape_backward(&p.pass.tape, e) == 0 && pass_plan(&p.pass, NULL, e) == 0) {
		*bytes = pass_bytes(&p.pass);
		status = 0;
	}
	model_pass_release(&p);
	return status;
}

/* Parameters, gradient, and what the standard optimizer takes. */
static size_t state_bytes(const struct app *app, const struct params *params)
{
	struct optim o;
	optim_init(&o, optimizer_find(NULL), &(struct optim_settings){ 0 }, params, app->kernels, app->pool);
	size_t bytes = 2 * params->n * sizeof(float) + o.bytes;
	optim_release(&o);
	return bytes;
}

static int plan_lora(struct info_memory *out, struct app *app, struct loaded *l, struct err *e)
{
	char rank[16];
	struct adapter a;
	size_t step = 0;

	snprintf(rank, sizeof(rank), "%d", INFO_RANK);
	if (adapter_new_named(&a, "lora", &l->model, (const char *const[]){ "lora-r", rank, NULL }, 0, e) < 0)
		return -1;
	int status = plan_step(&step, app, &l->model, &a.overlay, e);
	out->lora = out->weights + out->program + step + state_bytes(app, &a.overlay.params);
	adapter_release(&a);
	return status;
}

/* The parameters are named, not taken: a plan needs only their shapes. */
static int plan_full(struct info_memory *out, struct app *app, struct loaded *l, struct err *e)
{
	const struct model *m = &l->model;
	struct overlay all;
	size_t step = 0;

	overlay_init(&all, m);
	overlay_replace_all(&all, m);
	int status = plan_step(&step, app, m, &all, e);
	out->full = out->program + step + state_bytes(app, &all.params);
	overlay_release(&all);
	return status;
}

int info_memory(struct info_memory *out, struct app *app, struct loaded *l, struct err *e)
{
	size_t owned = 0;

	*out = (struct info_memory){ 0 };
	for (size_t i = 0; i < l->model.n_weights; i++) {
		const struct weight *w = &l->model.weights[i];
		out->weights += w->bytes;
		owned += w->owned ? w->bytes : 0;
		source_forget(&l->model.source, w->data, w->bytes);
	}
	out->program = mem_rss() - MIN(owned, mem_rss());
	if (measure_session(out, app, l, e) < 0 || plan_lora(out, app, l, e) < 0)
		return -1;
	return plan_full(out, app, l, e);
}
