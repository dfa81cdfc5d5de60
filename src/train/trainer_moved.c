/* trainer_moved: by how much of itself each layer moves in a step, where it is asked for.
 *
 *     ‖w after − w before‖ / ‖w before‖     over all weights of a layer, and over those that are in none
 *
 * About 1e-3 is usual; much more is a rate that is too high, much less one that is too low. The weights before are
 * kept for it, as many numbers as are trained, in memory that the plan counts. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

size_t moved_bytes(const struct trainer *t) { return t->recipe.ratio_steps > 0 ? t->params->n * sizeof(float) : 0; }

static bool is_due(const struct trainer *t)
{
	return t->recipe.ratio_steps > 0 && (t->step + 1) % t->recipe.ratio_steps == 0;
}

/* 0 … n_layers: of those in no layer, the last. */
static int place_of(const struct trainer *t, const struct param *p)
{
	int layer = p->weight < 0 ? -1 : t->model->weights[p->weight].layer;

	return layer < 0 ? t->model->config.n_layers : layer;
}

int moved_begin(struct trainer *t, struct err *e)
{
	struct moved *m = &t->moved;
	void *memory;

	if (!moved_bytes(t))
		return 0;
	if (mem_map(&memory, moved_bytes(t), "the weights before a step", e) < 0)
		return -1;
	mem_touch(memory, moved_bytes(t));
	m->before = memory;
	m->n = t->model->config.n_layers + 1;
	m->ratio = mem_array((size_t)m->n, sizeof(*m->ratio));
	m->square = mem_array((size_t)m->n, sizeof(*m->square));
	return 0;
}

void moved_keep(struct trainer *t)
{
	if (is_due(t))
		for (size_t i = 0; i < t->params->n; i++)
			t->moved.before[i] = t->params->w[i];
}

void moved_tell(struct trainer *t, struct step_metrics *out)
{
	struct moved *m = &t->moved;

	if (!is_due(t))
		return;
	for (int i = 0; i < m->n; i++)
		m->ratio[i] = m->square[i] = 0;
	for (size_t i = 0; i < t->params->n_items; i++) {
		const struct param *p = &t->params->items[i];
		const float *w = t->params->w + p->offset, *before = m->before + p->offset;
		double moved = 0, square = 0;
		for (size_t k = 0; k < p->n; k++) {
			double by = (double)w[k] - (double)before[k];
			moved += by * by;
			square += (double)before[k] * (double)before[k];
		}
		m->ratio[place_of(t, p)] += moved;
		m->square[place_of(t, p)] += square;
	}
	for (int i = 0; i < m->n; i++)
		m->ratio[i] = sqrt(m->ratio[i] / m->square[i]);
	out->update_ratio = m->ratio;
	out->n_update_ratios = m->n;
}

void moved_release(struct trainer *t)
{
	if (t->moved.before)
		mem_unmap(t->moved.before, moved_bytes(t));
	mem_free(t->moved.ratio);
	mem_free(t->moved.square);
}
