/* typical: the micro-batch that stands for all where time is forecast. Packing is cheap beside running, so all are
 * looked at and one is run. See typical.h. */
#include "infer/typical.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

void typical_init(struct typical *t, size_t most, double mean_rows)
{
	*t = (struct typical){ .docs = mem_array(most, sizeof(*t->docs)), .mean_rows = mean_rows, .off = INFINITY };
}

void typical_look(struct typical *t, const struct document *const *docs, size_t n, const struct forest_options *o)
{
	for (size_t i = 0, some; i < n; i += some) {
		struct batch_cap cap = { 0 };
		struct live live;
		int64_t tokens;
		some = forest_take(docs + i, n - i, o, &cap, &live, &tokens);
		double off = fabs(live.rows - t->mean_rows);
		if (off >= t->off)
			continue;
		memcpy(t->docs, docs + i, some * sizeof(*docs));
		t->n = some;
		t->cap = cap;
		t->off = off;
	}
}

int typical_time(const struct typical *t, struct model_pass *p, const struct forest_options *o, const struct live *mean,
                 double budget, struct timing *out, struct err *e)
{
	struct batch_cap cap = t->cap;
	struct batch batch;

	cap.columns = p->pass.plan.cap.columns;
	batch_init(&batch, &cap);
	forest_fill(&batch, t->docs, t->n, o);
	struct timing_options how = { .batch = &batch, .mean = *mean, .budget = budget };
	int status = model_pass_time(out, p, how, e);
	batch_release(&batch);
	return status;
}

void typical_release(struct typical *t)
{
	mem_free(t->docs);
	*t = (struct typical){ 0 };
}
