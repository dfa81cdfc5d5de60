/* pass: the order in which tape, plan, run and batch come and go, written once: what scores, generates, trains,
 * measures or only asks for the memory differs in what is recorded and bound, not in this. See pass.h. */
#include "op/pass.h"

void pass_begin(struct pass *p, struct device *d, const struct batch_cap *cap, bool gradients)
{
	*p = (struct pass){ .device = d };
	tape_init(&p->tape, cap, gradients);
}

int pass_plan(struct pass *p, const struct plan_options *o, struct err *e)
{
	if (p->started)
		BUG("a pass planned again while it runs");
	plan_release(&p->plan);
	p->planned = false;
	if (p->tape.err.msg[0])
		return err_set(e, "%s", p->tape.err.msg);
	if (plan_make(&p->plan, &p->tape, p->device->kernels, o, e) < 0)
		return -1;
	p->planned = true;
	return 0;
}

int pass_start(struct pass *p, struct err *e)
{
	if (!p->planned || p->started)
		BUG("a pass started %s", p->started ? "twice" : "without a plan");
	if ((p->shared ? run_init_in(&p->run, &p->plan, p->shared, e) :
	                 run_init(&p->run, &p->plan, p->device, e)) < 0)
		return -1;
	run_touch(&p->run);
	batch_init(&p->batch, &p->plan.cap);
	p->started = true;
	return 0;
}

int pass_step(struct pass *p)
{
	return run_step(&p->run, &p->batch);
}

void pass_stop(struct pass *p)
{
	run_release(&p->run);
	batch_release(&p->batch);
	p->started = false;
}

void pass_release(struct pass *p)
{
	pass_stop(p);
	plan_release(&p->plan);
	tape_release(&p->tape);
	*p = (struct pass){ 0 };
}

size_t pass_bytes(const struct pass *p)
{
	size_t scratch = p->plan.scratch_bytes * (size_t)pool_threads(p->device->pool);

	return p->plan.arena_bytes + scratch + batch_bytes(&p->plan.cap);
}

struct work pass_work(const struct pass *p, const struct live *live)
{
	struct work w;
	double bytes;

	plan_cost(&p->plan, live, &w.flops, &bytes);
	w.int_ops = plan_int_ops(&p->plan, live);
	return w;
}

struct work pass_work_of(const struct pass *p, const struct live *sum, double steps)
{
	struct work all = pass_work(p, sum), each = pass_work(p, &(struct live){ 0 });

	return (struct work){ all.flops + (steps - 1) * each.flops, all.int_ops + (steps - 1) * each.int_ops };
}
