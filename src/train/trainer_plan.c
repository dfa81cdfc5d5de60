/* trainer_plan: the dry run. What a job needs is read off the same tape, plan and packing that will run.
 *
 *     peak resident set = program, libraries, tokenizer, data (measured, now)  + mapped weights that the steps will
 * read
 *                       + parameters, gradients, optimizer  + arena  + scratch · threads  + batch arrays  + evaluation
 *
 * What is there already is measured, what will be taken is known exactly, so nothing here is a formula for a model.
 * --memory bounds the sum; the plan then recomputes what it must (op/plan.h), which changes no bit. */
#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/trainer_parts.h"
#include "model/resident.h"
#include "model/weights.h"

/* Of the heap while it runs: logs, metrics, the ledger's pages, tables of nodes; 44 to 108 KB were seen. And pages of
 * the program that steps, saving and the result are the first to read: 240 to 400 KB, more where a file's encoders
 * run. */
enum { LATER_BYTES = 96 << 10, LATER_CODE = 256 << 10, LATER_QAT = 96 << 10 };

struct plan_options trainer_plan_options(const struct trainer *t)
{
	return (struct plan_options){ .recompute_all = t->recipe.gradient_checkpointing,
		                      .in_8bit = !strcmp(t->recipe.activations, "8bit"), .speeds = t->recipe.speeds };
}

/* --- recording --- */

/* From what others make of the blocks below, where they do. */
static uint32_t hidden(struct trainer *t, const struct batch_cap *cap, struct graph *g)
{
	size_t dim[2] = { (size_t)cap->rows, (size_t)t->model->config.C };

	if (!t->first_block)
		return graph_hidden(g);
	t->below = tape_state(g->tape, "below", AXIS_ROWS, 2, dim);
	return graph_hidden_from(g, t->below, t->first_block);
}

static int record(struct trainer *t, const struct batch_cap *cap, struct model_pass *p, struct err *e)
{
	model_pass_begin(p, t->device, cap, t->model, t->overlay, true);
	p->graph.past = t->past.n ? &t->past : NULL;
	balance_begin(t, &p->graph);
	z_loss_begin(t, &p->graph);
	p->result = t->objective.row->record(&t->objective, &p->graph, hidden(t, cap, &p->graph));
	balance_record(t, &p->graph);
	if (z_loss_record(t, &p->graph, e) < 0)
		return -1;
	return tape_backward(&p->pass.tape, e);
}

int trainer_record_from(struct trainer *t, int first_block, struct err *e)
{
	struct plan_options o = trainer_plan_options(t);

	model_pass_release(&t->net);
	t->first_block = first_block;
	return record(t, &t->dry.cap, &t->net, e) < 0 ? -1 : pass_plan(&t->net.pass, &o, e);
}

static bool reads(const struct tape *t, const struct node *n, const bool *marked)
{
	bool any = false;

	for (int j = 0; j < NODE_INPUTS; j++) {
		const struct tensor *x = &t->tensors[n->in[j]];
		any |= marked[n->in[j]];
		for (size_t i = 0; x->parts && i < x->dim[0]; i++)
			any |= marked[x->parts[i]];
	}
	return any;
}

int trainer_lowest_block(const struct trainer *t)
{
	const struct graph *g = &t->net.graph;
	const struct tape *tape = g->tape;
	bool *marked = mem_array(tape->n_tensors, sizeof(*marked));
	int block = 0; /* in which we are, or which comes */

	/* Fisher's numbers are made by the same pass, of other documents */
	if (overlays_virtual(t->overlay) || g->carried || g->load || t->recipe.ewc > 0 || t->first_block) {
		mem_free(marked);
		return t->first_block;
	}
	graph_mark_overlays(g, marked);
	marked[TENSOR_NONE] = false;
	for (uint32_t i = 0; i < tape->n_nodes; i++) {
		const struct node *n = &tape->nodes[i];
		if (n->layer < 0 && block > 0)
			block = t->model->config.n_layers;
		block = MAX(block, n->layer);
		if (reads(tape, n, marked))
			break;
	}
	mem_free(marked);
	return block;
}

/* --- parts of the memory --- */

static bool is_replaced(const void *ctx, int weight)
{
	const struct trainer *t = ctx;

	return !overlays_read(t->overlay, t->model, weight);
}

static void mark_document(const struct document *d, uint8_t *token)
{
	for (int32_t j = 0; j < d->n; j++)
		token[d->ids[j]] = 1;
}

static void mark_tokens(const struct dataset *d, uint8_t *token)
{
	for (size_t i = 0; i < d->documents.n; i++)
		mark_document(&d->documents.items[i], token);
}

/* Of what the steps learn from: all rows, or those that a run of less than an epoch comes to. */
static void mark_learnt(const struct trainer *t, uint8_t *token)
{
	long step = t->totals.first, steps = t->schedule.steps;

	if (trainer_is_windows(t))
		return;
	if (steps - step >= order_steps_per_epoch(t)) {
		mark_tokens(&t->train, token);
		mark_tokens(&t->replay, token);
		return;
	}
	const struct document **docs = mem_array(trainer_global_batch(t), sizeof(*docs));
	for (; step < steps; step++) {
		size_t n = order_step(t, step, NULL, docs);
		for (size_t i = 0; i < n; i++)
			mark_document(docs[i], token);
	}
	mem_free(docs);
}

/* What of the file's mapping the steps will read; *owned: weights that stand in memory of our own already. */
static size_t mapped_bytes(const struct trainer *t, size_t *owned)
{
	uint8_t *token = mem_array((size_t)t->model->config.V, 1);
	struct model_reads reads = {
		.skips = is_replaced, .ctx = t, .own_head = overlays_own_head(t->overlay), .token = token
	};

	if (trainer_makes(t) || trainer_is_windows(t)) /* what it makes, or what comes, may have any */
		memset(token, 1, (size_t)t->model->config.V);
	if (kl_wanted(t) || t->making.base) { /* the base is read whole, whatever stands for it */
		reads.skips = NULL;
		reads.own_head = false;
	}
	mark_learnt(t, token);
	mark_tokens(&t->eval, token);
	mark_tokens(&t->retain, token);
	size_t bytes = model_read_bytes(t->model, &reads, owned);
	mem_free(token);
	return bytes;
}

static size_t pages(size_t bytes)
{
	return ROUND_UP(bytes, (size_t)4096);
}

/* What is trained, as much of it as is here at once. */
static size_t weight_bytes(const struct trainer *t)
{
	return t->zero3.on ? t->zero3.own_bytes : t->params->n * sizeof(float);
}

size_t trainer_state_bytes(const struct trainer *t)
{
	size_t gradients = t->params->n * sizeof(float) * (size_t)t->totals.gradient_buffers;

	if (t->zero3.on)
		gradients = t->zero3.others_bytes;
	return pages(weight_bytes(t)) + pages(gradients) + pages(t->optim.taken_bytes) +
	       pages(penalty_bytes(t)) + pages(moved_bytes(t)) + pages(t->adapter.kept.n * sizeof(float)) +
	       pages(share_bytes(t)) + pages(qat_bytes(t)) + pages(synced_bytes(&t->synced)) + pages(past_bytes(t));
}

/* Everything but the arena, as far as it does not depend on what is recomputed. */
static size_t fixed_bytes(const struct trainer_plan *p)
{
	return p->weights_bytes + p->state_bytes + p->scratch_bytes + p->batch_bytes + p->eval_bytes + p->kl_bytes +
	       p->made_bytes + p->base_bytes;
}

/* While an adapter is made of the weights, before all else; the threads' heaps keep it afterwards. */
static size_t begin_bytes(const struct trainer *t)
{
	return t->has_adapter ? pages(t->adapter.start.bytes) * (size_t)pool_threads(t->pool) : 0;
}

static void measure_memory(struct trainer *t, const struct plan *plan)
{
	struct trainer_plan *p = &t->totals;
	size_t owned, resident;

	zero3_plan(t, plan);
	p->weights_bytes = mapped_bytes(t, &owned);
	p->state_bytes = trainer_state_bytes(t);
	p->scratch_bytes = pages(plan->scratch_bytes * (size_t)pool_threads(t->pool));
	p->batch_bytes = pages(batch_bytes(&t->dry.cap));
	if (t->has_adapter)
		mem_touch(t->params->w, t->params->n * sizeof(float));
	if (t->has_adapter && t->adapter.start.bytes)
		mem_touch(t->overlay->fixed.w, t->overlay->fixed.n * sizeof(float));
	model_forget(t->model);
	t->owned_bytes = owned;
	resident = owned + p->eval_bytes + t->making_resident + pages(past_bytes(t)) +
	           (t->has_adapter ? pages(t->params->n * sizeof(float)) : 0);
	p->weights_bytes += owned;
	p->base_bytes = mem_rss() - MIN(resident, mem_rss()) + LATER_BYTES + LATER_CODE + begin_bytes(t) +
	                (t->recipe.qat ? LATER_QAT : 0);
}

/* Once the steps are over and their arena is gone: frozen weights are read for the result, one after the other. */
static size_t result_bytes(const struct trainer *t)
{
	const struct trainer_plan *p = &t->totals;
	size_t largest = 0;

	for (size_t i = 0; i < t->model->n_weights && !t->has_adapter; i++) {
		const struct weight *w = &t->model->weights[i];
		size_t numbers = weight_numbers(w) * sizeof(float);
		if (t->full.replaced[i] < 0)
			largest = MAX(largest, w->bytes + numbers);
		else if (t->zero3.on) /* another rank's comes */
			largest = MAX(largest, numbers);
	}
	if (t->recipe.qat)
		largest = MAX(largest, export_gguf_scratch(&t->qat.file.export));
	return largest ? p->weights_bytes + p->state_bytes + p->eval_bytes + p->made_bytes + p->base_bytes +
	                         pages(largest) :
	                 0;
}

/* While what was forgotten is measured: texts are drawn before the memory of the steps is taken, and compared when
 * that, with the gradients, has gone; optimizer and parameters are there still. */
static size_t forgetting_bytes(const struct trainer *t)
{
	const struct trainer_plan *p = &t->totals;
	const struct forgetting *f = &t->forgetting;
	size_t flat = pages(t->params->n * sizeof(float)), common = p->eval_bytes + p->made_bytes + p->base_bytes;

	if (!f->n)
		return 0;
	return common + MAX(p->weights_bytes, f->weights_bytes) +
	       MAX((t->has_adapter ? flat : 0) + f->draw_bytes,
	           flat + pages(t->optim.taken_bytes) + pages(penalty_bytes(t)) +
		           pages(t->adapter.kept.n * sizeof(float)) + pages(share_bytes(t)) +
		           pages(qat_bytes(t)) + pages(synced_bytes(&t->synced)) + f->bytes);
}

static void add_up(struct trainer *t, size_t arena_bytes)
{
	struct trainer_plan *p = &t->totals;
	size_t sum = fixed_bytes(p) + arena_bytes;
	/* A reference is made before the memory of the steps is taken. */
	size_t start = p->weights_bytes + p->eval_bytes + p->made_bytes + p->base_bytes +
	               pages(weight_bytes(t)) + pages(qat_bytes(t)) + pages(past_bytes(t)) +
	               MAX(t->reference_bytes, t->past_start_bytes);
	size_t measured = forgetting_bytes(t);
	/* Reading the data may have taken more than the steps will: then that was the peak. */
	p->past_bytes = MAX(MAX(sum, result_bytes(t)), MAX(MAX(start, measured), mem_rss_peak())) - sum;
	p->base_bytes += p->past_bytes;
	p->arena_bytes = arena_bytes;
	p->planned_bytes = fixed_bytes(p) + arena_bytes;
}

/* --- choosing what is recomputed --- */

/* The least arena, at micro-batches of max_tokens; 0 when that cannot be. What is recomputed of numbers that are kept
 * in 8 bits is not what it was, so then nothing is that is not asked for. */
static size_t least_arena(struct trainer *t, int32_t max_tokens)
{
	struct plan_options o = trainer_plan_options(t);
	struct err ignored = ERR_INIT;
	struct dry_run dry = t->dry;
	struct model_pass p;
	size_t bytes = 0;

	o.recompute_all |= !o.in_8bit;
	if (max_tokens != t->forest.max_tokens && order_dry_run(t, max_tokens, &dry, &ignored) < 0)
		return 0;
	if (record(t, &dry.cap, &p, &ignored) == 0 && pass_plan(&p.pass, &o, &ignored) == 0)
		bytes = pages(p.pass.plan.arena_bytes);
	model_pass_release(&p);
	return bytes;
}

/* The adapter's own number by which it may be made smaller: what half of it frees. */
static void say_smaller_adapter(const struct trainer *t, struct buf *knobs)
{
	const char *name = t->has_adapter ? t->adapter.type->size_option : NULL;
	const struct opt *o = name ? opt_find(t->adapter.type->opts, name) : NULL;
	const char *options = opt_row_options(method_rows, t->recipe.method_options, t->recipe.method);
	char bytes[32];

	if (!o)
		return;
	int64_t size = *(const int64_t *)(options + o->offset);
	if (size > 1)
		buf_addf(knobs, "; --%s %lld frees about %s", name, (long long)size / 2,
		         human_bytes(t->totals.state_bytes / 2, bytes));
}

static int say_infeasible(struct trainer *t, size_t limit, size_t least, struct err *e)
{
	char a[32], b[32];
	struct buf knobs = BUF_INIT;
	const struct trainer_plan *p = &t->totals;
	int32_t half = t->forest.max_tokens / 2;

	if (p->longest <= half) {
		size_t arena = least_arena(t, half), now = least_arena(t, t->forest.max_tokens);
		if (arena && arena < now)
			buf_addf(&knobs, "; --micro-batch-tokens %d frees %s", half, human_bytes(now - arena, a));
	} else {
		buf_addf(&knobs,
		         "; a lower --max-length (the longest row has %lld tokens) allows smaller --micro-batch-tokens",
		         (long long)p->longest);
	}
	say_smaller_adapter(t, &knobs);
	if (!t->has_adapter)
		buf_addf(&knobs, "; --method %s frees most of the %s of parameters, gradients and optimizer",
		         adapter_standard()->name, human_bytes(p->state_bytes, a));
	err_set(e, "%s of memory is too little: this job needs at least %s (%zu bytes), with %s%s",
	        human_bytes(limit, a), human_bytes(least, b), least,
	        trainer_plan_options(t).in_8bit ? "activations in 8 bits" : "everything recomputed", buf_str(&knobs));
	buf_release(&knobs);
	return -1;
}

/* Where the search finds no way under the limit: everything is recomputed, if that is little enough now. */
static int plan_least(struct trainer *t, size_t limit, struct plan_options *o, struct err *e)
{
	struct pass *p = &t->net.pass;

	o->limit_bytes = 0;
	o->recompute_all = true;
	if (pass_plan(p, o, e) < 0)
		return -1;
	measure_memory(t, &p->plan);
	t->totals.least_bytes = fixed_bytes(&t->totals) + pages(p->plan.arena_bytes);
	return t->totals.least_bytes <= limit ? 0 : say_infeasible(t, limit, t->totals.least_bytes, e);
}

/* Searching takes memory of its own, which stays with the process: measured again, and searched once more where that
 * matters. */
static int plan_within(struct trainer *t, size_t limit, struct plan_options *o, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct pass *p = &t->net.pass;

	for (int again = 1; ; again--) {
		size_t fixed = fixed_bytes(&t->totals);
		o->limit_bytes = limit > fixed ? limit - fixed : 1;
		if (pass_plan(p, o, &ignored) < 0)
			return plan_least(t, limit, o, e);
		measure_memory(t, &p->plan);
		if (!again || fixed_bytes(&t->totals) + pages(p->plan.arena_bytes) <= limit)
			return 0;
	}
}

static int choose_plan(struct trainer *t, size_t limit, struct err *e)
{
	struct pass *p = &t->net.pass;
	struct live mean = dry_run_mean(&t->dry);
	struct plan_options o = trainer_plan_options(t);

	o.live = &mean;
	if (pass_plan(p, &o, e) < 0)
		return -1;
	measure_memory(t, &p->plan);
	size_t fixed = fixed_bytes(&t->totals);
	if (!limit || fixed + pages(p->plan.arena_bytes) <= limit)
		return 0;
	t->totals.least_bytes = fixed + least_arena(t, t->forest.max_tokens);
	if (t->totals.least_bytes > limit || o.in_8bit)
		return say_infeasible(t, limit, t->totals.least_bytes, e);
	return plan_within(t, limit, &o, e);
}

/* Without --memory the machine's own limit counts; where even recomputing does not help, the start says so. */
static int choose(struct trainer *t, struct err *e)
{
	struct err ignored = ERR_INIT;

	if (t->recipe.memory)
		return choose_plan(t, t->recipe.memory, e);
	if (choose_plan(t, mem_rss() + mem_available(), &ignored) == 0)
		return 0;
	return choose_plan(t, 0, e);
}

/* --- the whole --- */

/* The most that is on disk at once: checkpoints that stay, the one being written, of each step one at most, the
 * result. */
static size_t disk_bytes(const struct trainer *t)
{
	const struct recipe *r = &t->recipe;
	double saves = r->save_steps == 0 ? 1 :
	               r->save_steps > 0  ? floor((double)t->totals.steps / (double)r->save_steps) + 1 :
	                                    1e9;
	saves = MIN(saves, (double)t->totals.steps);
	double kept = r->save_total_limit > 0 ? (double)r->save_total_limit + r->load_best_model_at_end : 1e9;
	if (r->spike_threshold > 0) { /* those that a spike goes back to, of which one is there beside */
		saves += floor((double)t->totals.steps / (double)r->spike_rewind_steps) + 1;
		kept += 1;
	}
	size_t numbers = t->has_adapter ? t->totals.trainable + t->adapter.start.numbers : t->totals.parameters;
	double result = (double)numbers * sizeof(float);
	return (size_t)(MIN(saves, kept + 1) * (double)t->totals.checkpoint_bytes + result +
	                400.0 * (double)t->totals.steps + (16 << 20));
}

static void count(struct trainer *t)
{
	struct trainer_plan *p = &t->totals;

	p->steps = t->schedule.steps;
	p->steps_per_epoch = order_steps_per_epoch(t);
	p->epochs = order_epochs(t, p->first, p->steps);
	p->micro_batches = (long)t->dry.micro_batches;
	p->documents = (int64_t)t->train.documents.n;
	if (trainer_is_windows(t)) {
		p->documents = (int64_t)order_groups(t);
		p->longest = t->train.windows->o.length;
	}
	p->tokens = t->dry.tokens;
	p->computed_tokens = (int64_t)t->dry.live.rows;
	p->supervised_tokens = (int64_t)t->dry.live.labels;
	for (size_t i = 0; i < t->train.documents.n; i++)
		p->longest = MAX(p->longest, (int64_t)t->train.documents.items[i].n);
	for (size_t i = 0; i < t->replay.documents.n; i++)
		p->longest = MAX(p->longest, (int64_t)t->replay.documents.items[i].n);
	p->virtual_tokens = overlays_virtual(t->overlay);
	p->past_tokens = t->past.n;
	p->f32 = t->has_adapter && t->adapter.type->f32 && t->model->compute == COMPUTE_F32 &&
	         kernels_fast_int8(t->kernels);
	p->products = t->has_adapter ? adapter_products(&t->adapter, &p->product_flops) : 0;
	p->longest = MAX(p->longest, (int64_t)t->maxima.tokens) + p->virtual_tokens;
	p->gradient_buffers = grad_tree_buffers(trainer_leaves(t));
	p->trainable = params_count(t->params);
	p->parameters = model_count(t->model);
	p->checkpoint_bytes = checkpoint_bytes(t->params, &t->optim);
	p->checkpoint_bytes += synced_bytes(&t->synced);
	if (t->has_adapter)
		p->checkpoint_bytes += (p->trainable + t->adapter.start.numbers + params_count(&t->adapter.kept)) *
		                       sizeof(float);
	p->disk_bytes = disk_bytes(t);
}

int trainer_make_plan(struct trainer *t, struct err *e)
{
	struct pass *p = &t->net.pass;

	if (order_dry_run(t, t->forest.max_tokens, &t->dry, e) < 0)
		return -1;
	if (safety_open(t, e) < 0)
		return err_prefix(e, "the measure of refusals (--no-safety leaves it out)");
	share_plan(t);
	t->fisher_rows = penalty_reserve(t, &t->dry.cap);
	count(t);
	trainer_reserve_documents(t, t->dry.cap.docs);
	if (kl_plan(t, e) < 0)
		return -1;
	t->totals.gradient_buffers = grad_tree_buffers(trainer_leaves(t));
	if (trainer_plan_making(t, e) < 0)
		return -1;
	if ((t->has_eval && trainer_make_scorer(t, e) < 0) || look_plan(t, e) < 0 || trainer_plan_reference(t, e) < 0 ||
	    trainer_plan_forgetting(t, e) < 0)
		return -1;
	if (record(t, &t->dry.cap, &t->net, e) < 0 || choose(t, e) < 0)
		return -1;
	t->totals.recomputed_nodes = p->plan.n_recomputed;
	trainer_settle_forgetting(t, forgetting_bytes(t),
	                          t->recipe.memory ? t->recipe.memory : mem_rss() + mem_available());
	add_up(t, pages(p->plan.arena_bytes));
	struct work steps = { 0 }, kl = kl_planned(t);
	if (t->dry.micro_batches)
		steps = pass_work_of(p, &t->dry.live, (double)t->dry.micro_batches);
	t->totals.planned_flops += steps.flops + kl.flops + t->fed.flops + t->looking.planned.flops +
	                           (double)(t->totals.steps - t->totals.first) *
	                                                 (t->optim.norm.flops + t->optim.update.flops +
	                                                  penalty_cost(t).flops);
	t->totals.planned_int_ops += steps.int_ops + kl.int_ops + t->fed.int_ops + t->looking.planned.int_ops;
	return trainer_measure_time(t, e);
}

size_t trainer_least_bytes(struct trainer *t, int32_t max_tokens)
{
	const struct trainer_plan *p = &t->totals;
	size_t flat = t->params->n * sizeof(float), arena = least_arena(t, max_tokens);
	struct err ignored = ERR_INIT;
	struct dry_run dry;

	if (!arena || order_dry_run(t, max_tokens, &dry, &ignored) < 0)
		return 0;
	size_t state = pages(flat) + pages(flat * (size_t)grad_tree_buffers(1)) + pages(t->optim.taken_bytes);
	return fixed_bytes(p) - p->past_bytes - p->state_bytes - p->batch_bytes + state + pages(batch_bytes(&dry.cap)) +
	       arena;
}

int trainer_check_disk(const struct trainer *t, struct err *e)
{
	const struct trainer_plan *p = &t->totals;
	size_t disk;
	char a[32], b[32];

	if (io_free_space(t->recipe.out, &disk, e) < 0)
		return -1;
	if (p->disk_bytes > disk)
		return err_set(e,
		               "this job needs %s of disk for checkpoints and result, %s has %s; --save-total-limit "
		               "needs less",
		               human_bytes(p->disk_bytes, a), t->recipe.out, human_bytes(disk, b));
	return 0;
}

int trainer_check_machine(const struct trainer *t, struct err *e)
{
	const struct trainer_plan *p = &t->totals;
	size_t memory = mem_rss() + mem_available();
	const char *size = t->has_adapter ? t->adapter.type->size_option : NULL;
	char a[32], b[32];

	if (p->planned_bytes > memory)
		return err_set(e,
		               "this job needs %s of memory, the machine has %s; a smaller --micro-batch-tokens%s%s "
		               "needs less",
		               human_bytes(p->planned_bytes, a), human_bytes(memory, b), size ? " or --" : "",
		               size ? size : "");
	return trainer_check_disk(t, e);
}
