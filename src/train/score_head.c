/* score_head: checked, added and recorded. See score_head.h. */
#include "train/score_head.h"

#include <string.h>

#include "base/mem.h"

/* An adapter of the head that is not there any more would be none of what transformers loads. */
static int check_adapter(const struct objective_run *o, struct err *e)
{
	const struct params *p = &o->overlay->params;
	const char *head = o->model->config.arch->head, *end = strrchr(head, '.');
	char *module = mem_printf("base_model.model.%.*s.", (int)(end - head), head);
	bool some = false;

	for (size_t i = 0; i < p->n_items; i++)
		some |= !strncmp(p->items[i].name, module, strlen(module));
	mem_free(module);
	return some ? err_set(e, "--objective %s has a head of its own: %s cannot be trained beside it",
	                      o->row->name, head) :
	              0;
}

int score_head_check(const struct objective_run *o, struct err *e)
{
	return export_classifies(o->model, e) < 0 ? -1 : check_adapter(o, e);
}

void score_head_params(const struct objective_run *o, struct params *p, size_t outputs)
{
	int i = params_add(p, "score.weight", 2, (size_t[]){ outputs, (size_t)o->model->config.C }, -1);

	p->items[i].role = PARAM_HEAD;
}

uint32_t score_head_forward(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	struct linear l = { .x = graph_states(g, op_gather(g->tape, hidden)), .w = nn_param(g, &o->own, 0) };

	return op_linear(g->tape, &l);
}

uint32_t score_head_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, score_head_forward(o, g, hidden));
}
