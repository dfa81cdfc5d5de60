/* trainer: from a recipe to steps. See trainer.h; the dry run is in trainer_plan.c, the data's order in
 * trainer_order.c, evaluation in trainer_eval.c, checkpoints and the result in trainer_save.c.
 *
 * A step: its documents are cut into micro-batches; each is packed, run forward and backward into a leaf of the
 * gradients' tree; then one norm, one update. Everything a step needs was taken at the start: inside, nothing is
 * allocated. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "data/chat.h"
#include "model/export.h"
#include "model/init.h"
#include "model/keep_layers.h"
#include "model/mup.h"
#include "model/new_tokens.h"
#include "model/resident.h"
#include "model/weights.h"
#include "op/trace.h"
#include "quant/quant.h"
#include "train/spike.h"
#include "train/trainer_parts.h"

/* --- opening --- */

/* Does it tell what the objective learns? */
static int check_model(const struct objective *o, const struct model *m, struct err *e)
{
	if (o->labelled)
		return 0;
	return o->masked ? model_want_masked(m, e) : model_want_causal(m, e);
}

/* Nobody reads the numbers that a model from nothing has of its own: all of them are trained. */
static bool draws_later(const struct trainer *t)
{
	const struct recipe *r = &t->recipe;
	const struct method_full *o = opt_row_options(method_rows, r->method_options, method_full);

	return !method_adapter(r->method) && !o->trainable && !o->layers && !(r->kl_to_base > 0) && !r->forgetting &&
	       !t->objective.row->reference && !t->objective.row->labelled && !t->objective.row->looks;
}

/* A model from nothing. */
static int begin_model(struct trainer *t, struct trainer_base *b, struct err *e)
{
	const struct recipe *r = &t->recipe;
	char *path = io_is_dir(r->config) ? io_join(r->config, "config.json") : mem_strdup(r->config);
	json_t *config = jsonx_load_file(path, e);
	struct tokenizer *tokenizer = config ? tokenizer_open(r->tokenizer, e) : NULL;
	struct init_options o = { .seed = (uint64_t)r->seed, .name = r->config,
		                  .base_width = (int)r->mup_base_width, .later = draws_later(t),
		                  .parts = t->objective.row->masked ? WEIGHT_OF_HEAD : 0 };
	int status = !tokenizer || model_new(&b->model, config, tokenizer, &o, t->pool, e) < 0 ? -1 : 0;

	json_decref(config);
	mem_free(path);
	return status || check_model(t->objective.row, &b->model, e) < 0 ||
	                       source_hash(&b->model.source, b->hash, e) < 0 ? -1 : 0;
}

static int read_model(struct trainer *t, struct trainer_base *b, struct err *e)
{
	if (t->recipe.config)
		return begin_model(t, b, e);
	if (model_open(&b->model, t->recipe.model, e) < 0 ||
	    (t->recipe.student_layers && model_keep_layers(&b->model, t->recipe.student_layers, e) < 0) ||
	    model_load_in_4bit(&b->model, &t->recipe.four_bit, t->pool, e) < 0 ||
	    check_model(t->objective.row, &b->model, e) < 0 || model_tokenizer(&b->model, e) < 0 ||
	    source_hash(&b->model.source, b->hash, e) < 0 || (t->recipe.qat && weights_as_gguf(&b->model, e) < 0))
		return -1;
	if (t->recipe.new_tokens && new_tokens_add(&b->model, t->recipe.new_tokens, e) < 0)
		return -1;
	if (chat_template(&b->chat, b->model.tokenizer, e) < 0)
		return err_prefix(e, "%s: its chat template", t->recipe.model);
	return 0;
}

static void limit_length(struct trainer *t)
{
	t->max_length = (int32_t)t->recipe.max_length;
	if (t->max_length > t->model->config.n_ctx) {
		log_say("the model has %d positions: documents are at most that long, not %d", t->model->config.n_ctx,
		        t->max_length);
		t->max_length = t->model->config.n_ctx;
	}
}

/* The model of its own, or that of a trainer beside. */
static int open_base(struct trainer *t, struct trainer_base *beside, struct err *e)
{
	struct trainer_base *b = beside ? beside : mem_alloc(sizeof(*b));

	b->users++;
	t->base = b;
	t->model = &b->model;
	t->model_hash = b->hash;
	if (!beside && read_model(t, b, e) < 0)
		return -1;
	t->chat = b->chat;
	limit_length(t);
	return 0;
}

static void release_base(struct trainer_base *b)
{
	if (!b || --b->users)
		return;
	template_free(b->chat);
	model_close(&b->model);
	mem_free(b);
}

static bool trains_all(const struct trainer *t) { return t->full.params.n_items == t->model->n_weights; }

/* Full tuning. Values come at the start. */
static int add_weights(struct trainer *t, struct err *e)
{
	bool quantized = false;

	if (export_possible(t->model, e) < 0)
		return err_prefix(e, "--method full of %s", t->model->source.path);
	const struct method_full *options =
		opt_row_options(method_rows, t->recipe.method_options, method_full);
	if (method_full_overlay(&t->full, t->model, options, e) < 0)
		return -1;
	for (size_t i = 0; i < t->model->n_weights; i++)
		quantized |= dtypes[t->model->weights[i].dtype].block > 1;
	if (quantized && !t->recipe.qat)
		log_say("--method full: the quantized weights of %s are converted to f32, %s", t->recipe.model,
		        trains_all(t) ? "trained and written as such" : "trained where they are named, and all written "
		                                                        "as such");
	t->overlay = &t->full;
	t->params = &t->full.params;
	mup_groups(t->params, t->model);
	return params_seal(t->params, e);
}

/* New rows that nobody trains would stay what they began as. */
static int check_new_tokens(const struct trainer *t, struct err *e)
{
	const struct model *m = t->model;
	const json_t *config = t->adapter.config;
	int embedding = model_weight(m, m->config.arch->embedding, -1);
	bool rows = json_object_get(config, "token_indices") ||
	            json_array_size(json_object_get(config, "trainable_token_indices")) ||
	            json_object_size(json_object_get(config, "trainable_token_indices"));

	if (!m->n_new || rows || t->adapter.overlay.replaced[embedding] >= 0)
		return 0;
	return err_set(e, "--method %s does not train the rows of --new-tokens: lora, trainable_tokens and full do",
	               t->recipe.method);
}

static void hash_adapter(struct trainer *t, const struct adapter *a)
{
	struct hash_stream *h = hash_begin();

	for (; a; a = a->parent)
		hash_add(h, a->overlay.params.w, a->overlay.params.n * sizeof(float));
	hash_end(h, t->adapter_hash);
}

/* One that was trained before. */
static int go_on(struct trainer *t, const struct adapter_type *type, struct err *e)
{
	if (adapter_load(&t->adapter, t->recipe.adapter, t->model, e) < 0)
		return -1;
	t->has_adapter = t->goes_on = true;
	if (t->adapter.type != type)
		return err_set(e, "%s is an adapter of the type %s: --method %s goes on with it, --new-adapter lays "
		                  "one of --method %s over it", t->recipe.adapter, t->adapter.type->name,
		               t->adapter.type->name, type->name);
	hash_adapter(t, &t->adapter);
	return 0;
}

static int lay_over(struct trainer *t, struct err *e)
{
	struct adapter *parent = mem_alloc(sizeof(*parent));
	int status = adapter_load(parent, t->recipe.adapter, t->model, e);

	if (status == 0 && adapter_chain(&t->adapter, parent, t->model, e) == 0) {
		hash_adapter(t, parent);
		return 0;
	}
	if (status == 0)
		adapter_release(parent);
	mem_free(parent);
	return -1;
}

static int make_adapter(struct trainer *t, const struct adapter_type *type, struct err *e)
{
	const struct recipe *r = &t->recipe;

	if (r->adapter && !r->new_adapter)
		return go_on(t, type, e);
	if (adapter_new(&t->adapter, type, t->model, opt_row_options(method_rows, r->method_options, r->method),
	                (uint64_t)r->seed, e) < 0)
		return -1;
	t->has_adapter = true;
	return r->new_adapter ? lay_over(t, e) : 0;
}

const struct overlay *trainer_under(const struct trainer *t)
{
	return t->has_adapter && t->adapter.parent ? &t->adapter.parent->overlay : NULL;
}

static int make_params(struct trainer *t, struct err *e)
{
	const struct recipe *r = &t->recipe;
	const struct adapter_type *type = method_adapter(r->method);

	if (!type)
		return add_weights(t, e) < 0 ? -1 : qat_open(t, e);
	if (make_adapter(t, type, e) < 0)
		return -1;
	if (check_new_tokens(t, e) < 0)
		return -1;
	if (adapter_unties(&t->adapter))
		log_warn("embedding and head of this model are one matrix and are tuned apart: merged, they are two");
	t->has_adapter = true;
	t->overlay = &t->adapter.overlay;
	t->params = &t->overlay->params;
	return qat_open(t, e);
}

/* --max-length counts an adapter's virtual tokens: what they leave is the documents'. */
static int make_room(struct trainer *t, struct err *e)
{
	int32_t n = overlays_virtual(t->overlay), most = t->max_length;

	if (n > most - 2)
		return err_set(e, "%d virtual tokens leave no room for a prompt and an answer: documents are at most "
		                  "%d tokens long, those included (--max-length, the model's %d positions)",
		               n, most, t->model->config.n_ctx);
	if (n)
		log_say("%d virtual tokens before every document: they take %d of %d places, %d are left for its own",
		        n, n, most, most - n);
	t->max_length -= n;
	return 0;
}

static int make_schedule(struct trainer *t, struct err *e)
{
	const struct recipe *r = &t->recipe;
	double product = (double)r->batch_size * (double)r->accumulation;

	t->global = (size_t)MIN(product, (double)order_groups(t));
	if (trainer_open_ramp(t, e) < 0)
		return -1;
	t->sequential = r->sampling ? !strcmp(r->sampling, "sequential") : t->objective.row->sequential;
	double steps =
		r->max_steps > 0 ? (double)r->max_steps : order_steps(t, r->num_train_epochs);
	if (steps > 1e12)
		return err_set(e, "%g steps: at most 1e12 are possible", steps);
	t->schedule =
		(struct schedule){ .type = r->lr_scheduler_type, .steps = (long)steps, .min_ratio = r->min_lr_ratio,
		                   .decay = r->lr_decay_type, .power = r->lr_power,
		                   .timescale = r->lr_timescale == OPT_UNSET_INT ? 0 : (long)r->lr_timescale };
	t->totals.first = MIN(t->totals.first, t->schedule.steps);
	t->schedule.warmup_steps = r->warmup_steps != OPT_UNSET_INT ? (long)r->warmup_steps :
		MIN((long)ceil(r->warmup_ratio * steps), (long)steps - 1);
	t->schedule.decay_steps = (long)ceil(r->decay_ratio * steps);
	if (t->schedule.warmup_steps >= t->schedule.steps)
		log_warn("--warmup-steps %ld is no less than the run's %ld steps: its learning rate only rises, and "
		         "ends at %.2g of --learning-rate", t->schedule.warmup_steps, t->schedule.steps,
		         schedule_factor(&t->schedule, t->schedule.steps - 1));
	return 0;
}

static void make_optimizer(struct trainer *t)
{
	const struct recipe *r = &t->recipe;
	struct optim_settings s = { .learning_rate = r->learning_rate,
		                    .weight_decay = r->weight_decay,
		                    .ema_decay = r->ema_decay,
		                    .options = opt_row_options(optimizer_rows, r->optim_options, r->optim) };

	optim_init(&t->optim, optimizer_find(r->optim), &s, t->params, t->kernels, t->pool);
}

enum { PARTS_MOST = 3 };

/* Scales and the objective's own parameters lie over what is trained, in one flat buffer with it. */
static int join_params(struct trainer *t, struct err *e)
{
	struct objective_run *o = &t->objective;
	struct overlay *over[PARTS_MOST] = { t->overlay };
	struct params *parts[PARTS_MOST] = { t->params };
	size_t at[PARTS_MOST], n = 1;

	if (t->qat.range)
		over[n++] = &t->qat.ranges;
	if (o->row->params) {
		overlay_init(&o->own, t->model);
		if (o->row->params(o, &o->own.params, e) < 0 || params_seal(&o->own.params, e) < 0)
			return -1;
		over[n++] = &o->own;
	}
	for (size_t k = 1; k < n; k++) {
		parts[k] = &over[k]->params;
		over[k]->under = over[k - 1];
	}
	if (n == 1)
		return 0;
	if (params_join(&t->joined, parts, n, NAN, at, e) < 0)
		return -1;
	for (size_t k = 0; k < n; k++)
		over[k]->at = at[k];
	t->overlay = over[n - 1];
	t->params = &t->joined;
	return 0;
}

static int check_maxima(struct trainer *t, struct err *e)
{
	const struct objective_maxima *m = &t->maxima;
	int64_t most = (int64_t)(m->apart ? 1 : m->documents) * m->tokens;

	if (m->documents < 1 || m->tokens < 2 || m->labels < 1 || m->labels >= m->tokens || m->tokens > t->max_length)
		BUG("%s makes %d documents of %d tokens, %d learnt", t->objective.row->name, m->documents, m->tokens,
		    m->labels);
	most += overlays_virtual(t->overlay);
	if (most > t->recipe.micro_batch_tokens)
		return err_set(e,
		               "--objective %s makes up to %d documents of %d tokens of a row, which stay together: "
		               "%lld tokens, more than --micro-batch-tokens %lld",
		               t->objective.row->name, m->documents, m->tokens, (long long)most,
		               (long long)t->recipe.micro_batch_tokens);
	return 0;
}

/* Its own opening wants model and data. */
static int open_objective(struct trainer *t, struct err *e)
{
	struct objective_run *o = &t->objective;

	o->model = t->model;
	o->pool = t->pool;
	o->kernels = t->kernels;
	o->device = t->device;
	o->rows = &t->train.rows;
	o->eval_rows = t->has_eval ? &t->eval.rows : NULL;
	o->seed = (uint64_t)t->recipe.seed;
	o->max_length = t->max_length;
	o->chat = t->chat;
	o->apply_chat_template = t->recipe.apply_chat_template;
	o->documents = &t->train.documents;
	o->eval_documents = t->has_eval ? &t->eval.documents : NULL;
	return o->row->open ? o->row->open(o, e) : 0;
}

/* Once for all that share it. */
static int prepare(struct trainer *t, struct err *e)
{
	if (t->base->users > 1)
		return 0;
	return model_prepare(t->model, t->pool, compute_from_name(t->recipe.compute, t->kernels), PREPARE_TRAIN, e);
}

/* Labels come of rows that were read before anybody knew of virtual tokens. */
static int check_lengths(const struct trainer *t, const struct dataset *d, struct err *e)
{
	for (size_t i = 0; i < d->documents.n; i++) {
		const struct document *x = &d->documents.items[i];
		if (x->n > t->max_length)
			return err_set(e, "%s:%zu: %d tokens, and beside the virtual ones there is room for %d: a "
			                  "higher --max-length, where the model has the positions, or a shorter row",
			               x->file, x->line, x->n, t->max_length);
	}
	return 0;
}

static int leave_room(struct trainer *t, struct err *e)
{
	return make_room(t, e) < 0 || check_lengths(t, &t->train, e) < 0 ? -1 : check_lengths(t, &t->eval, e);
}

/* A head that nothing trains would stay what it began as. */
static int check_head(const struct trainer *t, struct err *e)
{
	for (size_t i = 0; i < t->model->n_weights; i++)
		if (t->model->weights[i].made && t->overlay->replaced[i] < 0)
			return err_set(e, "--method %s leaves %s as it is, which is new: --objective %s wants a "
			               "method that trains it, as lora and full do", t->recipe.method,
			               t->model->weights[i].name, t->objective.row->name);
	return 0;
}

/* Model, data and what is trained. What learns labels takes the model's head from its rows, before anything lies over
 * it; of others what is trained says how much room is left for a row (virtual tokens). */
static int open_trained(struct trainer *t, struct err *e)
{
	if (t->objective.row->labelled)
		return trainer_read_data(t, e) < 0 || open_objective(t, e) < 0 || prepare(t, e) < 0 ||
		                       make_params(t, e) < 0 || leave_room(t, e) < 0 ? -1 : check_head(t, e);
	return prepare(t, e) < 0 || make_params(t, e) < 0 || make_room(t, e) < 0 || trainer_read_data(t, e) < 0 ||
	                       open_objective(t, e) < 0 ? -1 : 0;
}

/* What it has of its own, over what is trained. */
static int join_objective(struct trainer *t, struct err *e)
{
	struct objective_run *o = &t->objective;

	if (join_params(t, e) < 0)
		return -1;
	o->overlay = t->overlay;
	o->forest = &t->forest;
	o->groups = t->global;
	o->ranks = ranks_several(t->recipe.ranks) ? t->recipe.ranks : NULL;
	if (!o->row->maxima)
		return 0;
	o->row->maxima(o, &t->maxima);
	return t->maxima.documents ? check_maxima(t, e) : 0;
}

/* What an objective has of its own, which lies over what is trained, says nothing here. */
static void make_forest(struct trainer *t)
{
	const struct objective_run *o = &t->objective;

	t->forest = (struct forest_options){
		.max_tokens = (int32_t)t->recipe.micro_batch_tokens,
		.share = !overlays_unshared(t->overlay) && !t->model->config.arch->encoder &&
		         !objective_rewrites(o) && !trainer_is_windows(t) &&
		         !(o->row->unshared && o->row->unshared(o->options)),
		.own_rows = t->objective.row->labelled || t->objective.row->masked,
		.virtual_tokens = overlays_virtual(t->overlay),
		.first_virtual = t->model->config.V,
		.invoked = overlays_invocations(t->overlay) ? overlays_invoked : NULL,
		.ctx = t->overlay,
	};
	past_open(t);
}

static int open_parts(struct trainer *t, struct trainer_base *beside, struct err *e)
{
	if (open_base(t, beside, e) < 0 || open_trained(t, e) < 0 || make_schedule(t, e) < 0 || look_open(t, e) < 0)
		return -1;
	make_forest(t);
	trainer_room_windows(t);
	if (trainer_check_groups(t, e) < 0 || reference_open(t, e) < 0 || trainer_feed(t, e) < 0 ||
	    (t->has_adapter && adapter_plan(&t->adapter, t->schedule.steps, e) < 0) || join_objective(t, e) < 0 ||
	    trainer_open_synced(t, e) < 0 || balance_open(t, e) < 0)
		return -1;
	penalty_layer_rates(t);
	make_optimizer(t);
	return trainer_check_invoked(t, e) < 0 || share_check(t, e) < 0 ? -1 : trainer_make_plan(t, e);
}

static int open_on(struct trainer **out, const struct recipe *r, const struct objective *o, const void *options,
                   long first, struct trainer *beside, struct run_memory *memory, struct device *d, struct err *e)
{
	struct trainer *t = mem_alloc(sizeof(*t));

	*out = NULL;
	t->opened = clock_seconds();
	t->recipe = *r;
	t->device = d;
	t->pool = d->pool;
	t->next_rate = NAN;
	t->kernels = d->kernels;
	t->totals.first = first;
	t->objective.row = o;
	t->objective.options = options;
	t->repeats = o->repeats ? o->repeats(options) : 1;
	t->memory = memory;
	if (open_parts(t, beside ? beside->base : NULL, e) < 0) {
		trainer_close(t);
		return -1;
	}
	*out = t;
	return 0;
}

int trainer_open_objective(struct trainer **out, const struct recipe *r, const struct objective *o,
                           const void *options, long first, struct device *d, struct err *e)
{
	return open_on(out, r, o, options, first, NULL, NULL, d, e);
}

int trainer_open_among(struct trainer **out, const struct recipe *r, long first, struct trainer *beside,
                       struct run_memory *memory, struct device *d, struct err *e)
{
	const struct objective *o = objective_find(r->objective);

	if (!o)
		BUG("the objective %s of a recipe that was not resolved", r->objective);
	if (beside && recipe_apart(&beside->recipe, r))
		BUG("%s", recipe_apart(&beside->recipe, r));
	return open_on(out, r, o, opt_row_options(objective_rows, r->objective_options, r->objective), first, beside,
	               memory, d, e);
}

int trainer_open_beside(struct trainer **out, const struct recipe *r, struct trainer *beside, struct device *d,
                        struct err *e)
{
	return trainer_open_among(out, r, 0, beside, NULL, d, e);
}

int trainer_open_at(struct trainer **out, const struct recipe *r, long first, struct device *d, struct err *e)
{
	return trainer_open_among(out, r, first, NULL, NULL, d, e);
}

int trainer_open(struct trainer **out, const struct recipe *r, struct device *d, struct err *e)
{
	return trainer_open_at(out, r, 0, d, e);
}

/* --- starting --- */

/* Of a model from nothing. */
static int begin_weights(struct trainer *t, struct err *e)
{
	const struct params *full = &t->full.params;
	float **to = mem_array(t->model->n_weights, sizeof(*to));

	for (size_t i = 0; i < full->n_items; i++)
		to[full->items[i].weight] = full->w + full->items[i].offset;
	int status = t->zero3.on ? 0 : model_begin_weights(t->model, to, t->pool, e);
	for (size_t i = 0; t->zero3.on && i < full->n_items && !status; i++) { /* one at a time */
		float **one = mem_array(t->model->n_weights, sizeof(*one));
		one[full->items[i].weight] = to[full->items[i].weight];
		status = model_begin_weights(t->model, one, t->pool, e);
		mem_free(one);
		zero3_begun(t, i);
	}
	mem_free(to);
	return status;
}

/* Each weight's pages go once it is copied, and all of them again at the end: reading one maps pages of its
 * neighbours. */
static int copy_weights(struct trainer *t, struct err *e)
{
	const struct params *full = &t->full.params;

	zero3_begin(t);
	if (t->model->init)
		return begin_weights(t, e);
	for (size_t i = 0; i < full->n_items; i++) {
		const struct param *p = &full->items[i];
		const struct weight *w = &t->model->weights[p->weight];
		if (stop_look(e, "the model was read") < 0)
			return -1;
		dtype_rows_to_float(w->dtype, w->data, w->dim[0], p->n / w->dim[0], full->w + p->offset);
		source_forget(&t->model->source, w->data, w->bytes);
		zero3_begun(t, i);
	}
	model_forget(t->model);
	return 0;
}

/* Leaves of the gradients' tree in one step. */
long trainer_leaves(const struct trainer *t)
{
	return t->sharing.ranks ? share_leaves(t) : (long)(t->dry.most_micro + t->kl.dry.most_micro);
}

static int take_memory(struct trainer *t, struct err *e)
{
	if ((t->zero3.on ? grad_tree_map : grad_tree_init)(&t->gradients, t->params->n, trainer_leaves(t), t->kernels,
	                                                    t->pool, e) < 0 ||
	    model_pass_start(&t->net, grad_tree_leaf(&t->gradients), e) < 0 || optim_start(&t->optim, e) < 0)
		return -1;
	if (t->trace)
		trace_attach(t->trace, &t->net.pass.run, "train");
	t->taken = mem_array(trainer_global_batch(t), sizeof(*t->taken));
	if (trainer_makes(t))
		t->asked = mem_array(t->global * order_most_group(t), sizeof(*t->asked));
	t->taken_group = mem_array(trainer_global_batch(t), sizeof(*t->taken_group));
	t->cuts = mem_array((size_t)t->dry.most_micro, sizeof(*t->cuts));
	t->leaves = mem_array((size_t)t->dry.most_micro, sizeof(*t->leaves));
	t->cut_room = t->dry.cap.docs + (int32_t)order_most_group(t);
	t->cut_work = mem_array((size_t)t->cut_room, BATCH_WORK_DOC * sizeof(*t->cut_work));
	return share_start(t, e);
}

int trainer_begin(struct trainer *t, struct err *e)
{
	if (t->started)
		BUG("a trainer started twice");
	if ((t->has_adapter && !t->goes_on && adapter_start(&t->adapter, t->model, t->pool, e) < 0) ||
	    past_begin(t, e) < 0 || trainer_draw_own_texts(t, e) < 0 ||
	    (!t->has_adapter && copy_weights(t, e) < 0) || qat_begin(t, e) < 0 ||
	    synced_start(&t->synced, e) < 0 || trainer_make_reference(t, e) < 0)
		return -1;
	return t->objective.row->begin ? t->objective.row->begin(&t->objective, e) : 0;
}

int trainer_take(struct trainer *t, struct err *e)
{
	if (take_memory(t, e) < 0 || penalty_begin(t, e) < 0 || moved_begin(t, e) < 0 || kl_start(t, e) < 0)
		return -1;
	t->started = true;
	return 0;
}

int trainer_start(struct trainer *t, struct err *e)
{
	return trainer_check_machine(t, e) < 0 || trainer_begin(t, e) < 0 ? -1 : trainer_take(t, e);
}

/* --- a step --- */

/* How many documents each micro-batch takes. */
static size_t cut(struct trainer *t, size_t n)
{
	size_t micro = 0;
	for (size_t at = 0; at < n; at += t->cuts[micro++]) {
		if (micro == (size_t)t->dry.most_micro)
			BUG("step %ld has more than the %zu micro-batches that were planned", t->step, micro);
		t->cuts[micro] = forest_count(t->taken + at, n - at, &t->forest, t->cut_work, t->cut_room);
	}
	return micro;
}

static void pack(struct trainer *t)
{
	struct batch *b = &t->net.pass.batch;
	const struct document *const *docs = t->taken + t->now.document;

	forest_fill(b, docs, t->cuts[t->now.micro], &t->forest);
	trainer_weigh(t, b, t->taken_group + t->now.group);
	trainer_fill(t, &t->train, b, docs);
}

void step_fill(struct trainer *t)
{
	struct batch *b = &t->net.pass.batch;
	double begin = clock_seconds();

	pack(t);
	trace_span(t->trace, "packing", begin, 0, 0);
	b->seed = (uint64_t)t->recipe.seed;
	b->step = (uint32_t)t->step;
	b->micro = (uint32_t)t->now.micro;
	model_pass_bind(&t->net, grad_tree_leaf(&t->gradients));
}

/* The micro-batch's own, which starts from nothing, so that it is the same whoever has computed it. */
static void keep_leaf(struct trainer *t)
{
	const struct batch *b = &t->net.pass.batch;
	struct step *now = &t->now;

	t->sums = (struct objective_sums){ 0 };
	t->objective.row->loss(&t->objective, b, model_pass_result(&t->net), NULL, &t->sums);
	look_check(t, b, model_pass_result(&t->net));
	balance_add(t, b);
	z_loss_add(t, b);
	t->leaves[now->micro] = (struct leaf){ .sums = t->sums, .live = batch_live(b), .tokens = (double)b->tokens,
		                               .moved_by = now->moved_by, .ratio = { now->ratio[0], now->ratio[1] },
		                               .answers = { now->answers[0], now->answers[1] } };
	memset(now->ratio, 0, sizeof(now->ratio));
	memset(now->answers, 0, sizeof(now->answers));
}

static void next_micro(struct trainer *t)
{
	t->now.group += (size_t)t->net.pass.batch.n_groups;
	t->now.document += t->cuts[t->now.micro++];
}

/* What the pass has made of the micro-batch. */
void step_add(struct trainer *t)
{
	const struct batch *b = &t->net.pass.batch;
	double begin = clock_seconds();

	grad_tree_add(&t->gradients);
	trace_span(t->trace, "gradient sum", begin, 0, 0);
	if (t->objective.row->passed && !share_keeps(t))
		t->objective.row->passed(&t->objective, b, t->taken + t->now.document, model_pass_result(&t->net));
	keep_leaf(t);
	next_micro(t);
}

/* Of several ranks: all micro-batches, in their order, whoever had them. */
void step_passed(struct trainer *t)
{
	struct sharing *s = &t->sharing;
	struct step *now = &t->now;

	if (!s->passed_each)
		return;
	for (now->micro = now->document = now->group = 0; now->micro < now->micros; next_micro(t)) {
		pack(t);
		t->objective.row->passed(&t->objective, &t->net.pass.batch, t->taken + now->document,
		                         s->passed + now->micro * s->passed_each);
	}
}

/* In their order, whoever had them. */
static void add_leaves(struct trainer *t)
{
	struct step *now = &t->now;

	t->sums = (struct objective_sums){ 0 };
	for (size_t i = 0, at = 0; i < now->micros; at += t->cuts[i++]) {
		const struct leaf *x = &t->leaves[i];
		objective_join(t->objective.row, &t->sums, &x->sums);
		live_add(&now->live, &x->live, 1);
		now->metrics.tokens += (int64_t)x->tokens;
		for (int k = 0; k < 2; k++) {
			now->ratio[k] += x->ratio[k];
			now->answers[k] += x->answers[k];
		}
		if (x->moved_by != 0 && !now->moved) {
			now->moved = t->taken[at];
			now->moved_by = x->moved_by;
		}
	}
}

void step_forget(struct trainer *t)
{
	grad_tree_forget(&t->gradients);
	share_forget(t);
}

/* Not a number or infinite: nothing is updated, and the last checkpoint stays good. */
static int check_finite(const struct step_metrics *m, double weight, struct err *e)
{
	if (isfinite(m->loss) && isfinite(m->grad_norm))
		return 0;
	if (weight == 0)
		return err_set(e, "step %ld: every document that it would train on has weight 0", m->step);
	return err_set(e,
	               "step %ld: the %s is %f; training stops before this update, a lower --learning-rate or more "
	               "warm-up may help",
	               m->step, isfinite(m->loss) ? "gradient's norm" : "loss",
	               isfinite(m->loss) ? m->grad_norm : m->loss);
}

/* What the adapter has in the loss beside the objective. */
static double add_term(struct trainer *t, float *gradient)
{
	return t->has_adapter ? adapter_term(&t->adapter, gradient + t->adapter.overlay.at, t->sums.weight, t->kernels,
	                                     t->pool) :
	                        0;
}

/* An update was made. All of an adapter is clipped together. */
static int follow(struct trainer *t, float *gradient, struct err *e)
{
	const struct overlay *o = &t->adapter.overlay;
	int group = o->params.joined ? t->joined.items[0].group : 0;
	struct adapter_update u = { .step = t->step + 1, .g = gradient + o->at, .scale = (float)t->optim.scale[group] };

	if (t->adapter.type->updated && share_gradient(t, gradient, e) < 0)
		return -1;
	adapter_updated(&t->adapter, &u, t->pool);
	adapter_follow(&t->adapter, t->model, t->kernels, t->pool);
	return 0;
}

static int update(struct trainer *t, float *gradient, struct step_metrics *m, struct err *e)
{
	struct optim *o = &t->optim;
	double begin = clock_seconds();

	if (ranges_follow(t, gradient, e) < 0)
		return -1;
	m->loss += penalty_add(t, gradient, t->sums.weight) + add_term(t, gradient);
	optim_square(o, gradient);
	if (share_norm(t, e) < 0)
		return -1;
	m->grad_norm = optim_settle(o, 1.0 / t->sums.weight, t->recipe.max_grad_norm);
	m->vanishing = optim_vanishes(o, m->grad_norm, t->recipe.max_grad_norm);
	trace_span(t->trace, "gradient norm", begin, o->norm.flops, o->norm.bytes);
	if (check_finite(m, t->sums.weight, e) < 0)
		return -1;
	moved_keep(t);
	begin = clock_seconds();
	optim_step(o, gradient, m->learning_rate, t->step + 1);
	trace_span(t->trace, o->row->name, begin, o->update.flops, o->update.bytes);
	if (share_weights(t, e) < 0)
		return -1;
	qat_follow(t, t->step + 1);
	moved_tell(t, m);
	if (t->has_adapter && follow(t, gradient, e) < 0)
		return -1;
	synced_step(&t->synced, t->step + 1);
	return 0;
}

void trainer_tell(struct trainer *t, struct objective_metrics *m, const char *name, double value)
{
	if (m->n == OBJECTIVE_METRICS)
		BUG("%s tells %d metrics, which leaves no room for %s", t->objective.row->name, m->n, name);
	for (int i = 0; i < m->n && m->names != t->told; i++)
		t->told[i] = m->names[i];
	m->names = t->told;
	t->told[m->n] = name;
	m->value[m->n++] = value;
}

/* Into the loss and what is told; its gradient is there. */
static void tell_kl(struct trainer *t, struct step_metrics *m)
{
	if (!kl_wanted(t))
		return;
	m->loss += t->recipe.kl_to_base * kl_mean(t);
	trainer_tell(t, &m->metrics, "kl_to_base", kl_mean(t));
}

int step_begin(struct trainer *t, struct err *e)
{
	struct step *now = &t->now;

	if (!t->started || t->step >= t->schedule.steps)
		BUG("a step of a run that is over or not begun");
	*now = (struct step){ .metrics.step = t->step + 1 };
	t->objective.computed = &now->work;
	if (order_take(t, &now->documents, e) < 0)
		return -1;
	now->micros = cut(t, now->documents);
	if (synced_refer(t, e) < 0 || look_whole(t, false, e) < 0)
		return -1;
	share_begin(t);
	now->metrics.learning_rate =
		isnan(t->next_rate) ? t->recipe.learning_rate * schedule_factor(&t->schedule, t->step) : t->next_rate;
	return 0;
}

static int given_up(const struct trainer *t, struct err *e)
{
	if (t->zero3.err.msg[0])
		return err_set(e, "%s", t->zero3.err.msg);
	return err_set(e, "interrupted while step %ld was computed", t->now.metrics.step);
}

int step_more(struct trainer *t, struct err *e)
{
	struct step *now = &t->now;
	struct work kl, own;

	if (share_leaf_sums(t, e) < 0)
		return -1;
	add_leaves(t);
	own = pass_work_of(&t->net.pass, &now->live, (double)now->micros);
	if (kl_step(t, now->documents, (uint32_t)now->micros, &kl) < 0)
		return given_up(t, e);
	now->work.flops += own.flops + kl.flops;
	now->work.int_ops += own.int_ops + kl.int_ops;
	return 0;
}

int step_end(struct trainer *t, struct err *e)
{
	struct step_metrics *m = &t->now.metrics;
	const struct live *live = &t->now.live;
	float *gradient;

	m->supervised_tokens = (int64_t)live->labels;
	m->computed_tokens = (int64_t)live->rows;
	m->loss = t->sums.loss / t->sums.weight;
	m->metrics = objective_mean(t->objective.row, &t->sums);
	if (t->objective.row->tell)
		t->objective.row->tell(&t->objective, &m->metrics);
	balance_tell(t, &m->metrics);
	z_loss_tell(t, &m->metrics);
	tell_kl(t, m);
	if (share_sum(t, &gradient, e) < 0 || look_check_start(t, e) < 0 || update(t, gradient, m, e) < 0)
		return -1;
	t->step++;
	t->next_rate = NAN;
	m->epoch = order_epochs(t, 0, t->step);
	m->flops = t->now.work.flops + t->optim.norm.flops + t->optim.update.flops + penalty_cost(t).flops;
	m->int_ops = t->now.work.int_ops;
	return 0;
}

static int run_micros(struct trainer *t, struct err *e)
{
	while (t->now.micro < t->now.micros) {
		if (share_passes(t))
			continue;
		step_fill(t);
		if (pass_step(&t->net.pass) < 0)
			return given_up(t, e);
		step_add(t);
		if (share_added(t, e) < 0)
			return -1;
	}
	return step_more(t, e);
}

int trainer_step(struct trainer *t, struct step_metrics *m, struct err *e)
{
	double begin = clock_seconds();

	if (share_order(t, e) < 0 || step_begin(t, e) < 0)
		return -1;
	mem_guard_arm();
	int status = run_micros(t, e);
	if (status < 0)
		step_forget(t);
	else
		status = step_end(t, e);
	mem_guard_disarm();
	look_say(t);
	*m = t->now.metrics;
	m->seconds = clock_seconds() - begin;
	return status;
}

/* --- what others ask --- */

void trainer_watch(struct trainer *t, bool (*interrupted)(void)) { t->interrupted = interrupted; }
void trainer_trace(struct trainer *t, struct trace *trace) { t->trace = trace; }
bool trainer_done(const struct trainer *t) { return t->step >= t->schedule.steps; }
void trainer_skip(struct trainer *t, long steps) { t->skipped += steps; }
long trainer_spare(const struct trainer *t)
{
	return t->recipe.spike_threshold > 0 ? SPIKE_REWINDS * (long)t->recipe.spike_rewind_steps : 0;
}
bool trainer_shown(const struct trainer *t) { return t->shown; }
double trainer_epochs(const struct trainer *t) { return order_epochs(t, 0, t->step); }
long trainer_steps_done(const struct trainer *t) { return t->step; }
const struct trainer_plan *trainer_plan(const struct trainer *t) { return &t->totals; }
struct model *trainer_model(struct trainer *t) { return t->model; }
const struct overlay *trainer_overlay(const struct trainer *t) { return t->overlay; }
const struct params *trainer_params(const struct trainer *t) { return t->params; }
enum compute trainer_compute(const struct trainer *t) { return t->model->compute; }
const char *trainer_model_hash(const struct trainer *t) { return t->model_hash; }
const char *trainer_data_hash(const struct trainer *t, bool eval)
{
	return eval ? t->eval.rows.hash : t->train.rows.hash;
}

void trainer_close(struct trainer *t)
{
	if (!t)
		return;
	model_pass_release(&t->net);
	kl_release(t);
	grad_tree_release(&t->gradients);
	zero3_release(t);
	share_release(&t->sharing);
	optim_release(&t->optim);
	scorer_free(t->scorer);
	scorer_free(t->reference);
	look_release(&t->looking);
	reference_release(&t->other);
	synced_release(&t->synced);
	forgetting_release(&t->forgetting);
	safety_release(&t->safety);
	if (t->params)
		penalty_release(t);
	if (t->params)
		moved_release(t);
	if (t->params)
		qat_release(t);
	if (t->objective.row->close)
		t->objective.row->close(&t->objective);
	mem_free(t->objective.scratch);
	mem_free(t->label_at);
	if (t->has_adapter)
		adapter_release(&t->adapter);
	past_release(t);
	overlay_release(&t->full);
	overlay_release(&t->objective.own);
	params_release(&t->joined);
	dataset_release(&t->train);
	dataset_release(&t->eval);
	dataset_release(&t->retain);
	dataset_release(&t->replay);
	release_base(t->base);
	mem_free(t->taken);
	mem_free(t->taken_group);
	mem_free(t->asked);
	mem_free(t->cuts);
	mem_free(t->leaves);
	mem_free(t->cut_work);
	mem_free(t->eval_sums);
	mem_free(t->eval_rows);
	mem_free(t->eval_row);
	mem_free(t->weights);
	mem_free(t);
}
