/* label_head: made and recorded. See label_head.h. */
#include "train/label_head.h"

int label_head_make(const struct objective_run *o, int n, const char *const *names, enum problem p, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct labels l;

	labels_make(&l, &mem, n, names, p);
	int status = classifier_make(o->model, &l, o->seed, e);
	arena_release(&mem);
	return status;
}

uint32_t label_head_forward(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	(void)o;
	return graph_labels(g, hidden);
}

uint32_t label_head_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, graph_labels(g, hidden));
}
