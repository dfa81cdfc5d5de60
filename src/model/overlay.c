/* overlay: what does not need a graph: making, and what of the model's own numbers is still read. The rest is where
 * forwards are recorded, in graph.c. */
#include "model/overlay.h"

#include <string.h>

#include "base/mem.h"

void overlay_init(struct overlay *o, const struct model *m)
{
	*o = (struct overlay){ .head = HEAD_AS_EMBEDDING, .serves = -1 };
	o->replaced = arena_array(&o->params.mem, m->n_weights, sizeof(*o->replaced));
	o->base = arena_array(&o->params.mem, m->n_weights, sizeof(*o->base));
	for (size_t i = 0; i < m->n_weights; i++)
		o->replaced[i] = -1;
}

void overlay_replace(struct overlay *o, const struct model *m, const bool *which)
{
	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		if (which && !which[i])
			continue;
		o->replaced[i] = params_add(&o->params, w->name, w->n_dims, w->dim, (int)i);
		o->params.items[o->replaced[i]].role = weight_role(w);
	}
}

void overlay_replace_all(struct overlay *o, const struct model *m) { overlay_replace(o, m, NULL); }

void overlay_release(struct overlay *o)
{
	params_release(&o->params);
	params_release(&o->fixed);
	*o = (struct overlay){ 0 };
}

bool overlays_read(const struct overlay *o, const struct model *m, int weight)
{
	bool head = weight == model_head(m);

	for (; o; o = o->under) {
		if (o->replaced[weight] >= 0 && !(head && o->head == HEAD_OF_MODEL))
			return false;
	}
	return true;
}

bool overlays_own_head(const struct overlay *o)
{
	for (; o; o = o->under)
		if (o->head >= 0)
			return true;
	return false;
}

bool overlays_unshared(const struct overlay *o)
{
	for (; o; o = o->under)
		if (o->unshared && !o->frozen)
			return true;
	return false;
}

static int32_t last_place(const struct invocation *x, const int32_t *ids, int32_t n)
{
	for (int32_t at = n - x->n; at >= 0; at--)
		if (!memcmp(ids + at, x->ids, (size_t)x->n * sizeof(*ids)))
			return at;
	return n;
}

int32_t overlays_invoked(const void *overlay, int adapter, const int32_t *ids, int32_t n)
{
	bool acts = false;

	for (const struct overlay *o = overlay; o; o = o->under) {
		if (o->serves >= 0 && o->serves != adapter)
			continue;
		if (o->invocation.n)
			return last_place(&o->invocation, ids, n);
		acts = true;
	}
	return acts ? 0 : n;
}

bool overlays_invocations(const struct overlay *o)
{
	for (; o; o = o->under)
		if (o->invocation.n)
			return true;
	return false;
}

int overlays_context(const struct overlay *o, const struct model *m)
{
	return m->config.n_ctx - overlays_virtual(o);
}

const struct overlay *overlays_before(const struct overlay *o, int adapter)
{
	const struct overlay *found = NULL;

	for (; o; o = o->under) {
		if (!o->virtual_tokens || (o->serves >= 0 && o->serves != adapter))
			continue;
		if (found)
			BUG("two overlays with virtual tokens");
		found = o;
	}
	return found;
}

int overlays_virtual(const struct overlay *o)
{
	int most = 0;

	for (const struct overlay *x = o; x; x = x->under)
		if (x->virtual_tokens && overlays_before(o, x->serves))
			most = MAX(most, x->virtual_tokens);
	return most;
}

int overlays_virtual_rows(const struct overlay *o)
{
	int n = 0;

	for (; o; o = o->under)
		n += o->virtual_tokens;
	return n;
}
