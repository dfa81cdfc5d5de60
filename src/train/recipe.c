/* recipe: the table, its defaults that depend on one another, and its record. See recipe.h.
 *
 * Names and meanings are those of transformers' TrainingArguments, TRL's SFTConfig and PEFT's LoraConfig. Defaults are
 * TRL's and the LoRA literature's where those agree (r 8, alpha 16, all linears, rate 2e-4, warm-up 3 %, clipping at
 * 1). */
#include "train/recipe.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "corpus/shards.h"
#include "model/prepare.h"

enum { MICRO_BATCH_TOKENS = 1024, AUTOMATIC_SAVES_KEPT = 2 };

struct recipe_alone { struct recipe r; };
const struct opt recipe_opts[] = {
	RECIPE_OPTS(struct recipe_alone, r),
	RECIPE_NEW_OPTS(struct recipe_alone, r),
	OPT_END
};

/* What may change between a run and its continuation. */
static const char *const free_options[] = {
	"model", "data", "eval-data", "retain", "replay", "instruction-data", "out", "overwrite",
	"save-steps", "save-total-limit", "logging-steps", "memory", "tensorboard",
	"report-to", "forgetting", "safety", "gradient-checkpointing", "config", "tokenizer", "sample-steps",
	"sample-tokens", "sample-prompt", "update-ratio-steps", "rank-timeout", "zero-stage",
	/* Their product counts, see recipe_same_result. */
	"per-device-train-batch-size", "gradient-accumulation-steps", NULL
};
static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

static int check_compute(const struct recipe *r, struct err *e)
{
	if (four_bit_check(&r->four_bit, e) < 0)
		return -1;
	if (!method_adapter(r->method) && r->four_bit.on)
		return err_set(e, "--load-in-4bit is for a base under an adapter, --method %s trains the weights "
		                  "themselves", r->method);
	if (!method_adapter(r->method) && !strcmp(r->compute, "int8"))
		return err_set(e, "--compute int8 is for weights under an adapter, --method %s computes in f32",
		               r->method);
	return 0;
}

static int check_evaluation(const struct recipe *r, struct err *e)
{
	const char *needs = r->early_stopping_patience > 0 ? "early-stopping-patience" :
		r->load_best_model_at_end ? "load-best-model-at-end" : NULL;
	if (needs && !r->eval_data && !(r->data && shards_are(r->data)))
		return err_set(e, "--%s needs --eval-data", needs);
	return 0;
}

static int check_remedies(const struct recipe *r, struct err *e)
{
	if (r->ewc > 0 && !r->retain)
		return err_set(e, "--ewc needs --retain FILE: rows of what shall not be forgotten");
	if (r->replay && strcmp(r->objective, "sft") != 0)
		return err_set(e, "--replay is of --objective sft, not %s", r->objective);
	if (r->instruction_data && strcmp(r->objective, "sft") != 0)
		return err_set(e, "--instruction-data is of --objective sft, not %s", r->objective);
	if (r->ewc > 0 && strcmp(r->objective, "sft") != 0)
		return err_set(e, "--ewc is of --objective sft, not %s", r->objective);
	if (r->kl_to_base > 0 && objective_find(r->objective)->labelled)
		return err_set(e, "--kl-to-base compares tokens that are predicted, and --objective %s leaves no head "
		                  "that does", r->objective);
	if (r->retain && objective_find(r->objective)->labelled)
		return err_set(e, "--retain measures tokens that are predicted, and --objective %s leaves no head "
		                  "that does", r->objective);
	if (r->retain && objective_find(r->objective)->masked)
		return err_set(e, "--retain measures next tokens, and --objective %s is of models that predict none",
		               r->objective);
	return 0;
}

static int check_adapter(const struct recipe *r, struct err *e)
{
	if (r->new_adapter && !r->adapter)
		return err_set(e, "--new-adapter lies over the adapter of --adapter PATH, which is not there");
	if (r->adapter && !method_adapter(r->method))
		return err_set(e, "--adapter is gone on with, or lies under a new one: --method %s trains the weights "
		                  "themselves (kungfu merge works an adapter into them)", r->method);
	if (strcmp(r->reference, "start") != 0 && !objective_find(r->objective)->reference)
		return err_set(e, "--reference is of objectives that compare with one, as dpo, and %s has none",
		               r->objective);
	return 0;
}

static int check_average(const struct recipe *r, struct err *e)
{
	if (r->ema_decay > 0 && optimizer_find(r->optim)->averaged)
		return err_set(e, "--ema-decay beside --optim %s, which averages the weights by itself", r->optim);
	return 0;
}

/* Rows that are skipped must be there whatever the weights are. */
static int check_spikes(const struct recipe *r, struct err *e)
{
	const struct objective *o = objective_find(r->objective);

	if (r->spike_threshold > 0 && (o->maxima || o->looks || o->reference || o->evaluate))
		return err_set(e, "--spike-threshold is of objectives whose rows are those of the data, as sft, and "
		                  "--objective %s is none", r->objective);
	return 0;
}

static int check_paths(const struct recipe *r, struct err *e)
{
	if (r->config && r->model)
		return err_set(e, "a model from nothing (--config) or one to go on with: one of them is wanted");
	if (r->config && method_adapter(r->method))
		return err_set(e, "--method %s leaves a model's own weights as they are, and those of --config are "
		                  "drawn at random", r->method);
	if (r->mup_base_width && !optimizer_find(r->optim)->normalized)
		return err_set(e, "--mup-base-width with --optim %s: its rates do not go with the width as muP's do; "
		                  "adamw's, adamw_8bit's, lion's and schedule_free_adamw's do", r->optim);
	if (r->config && !r->tokenizer)
		return err_set(e, "--config needs --tokenizer: what its tokens are");
	if (!r->config && r->tokenizer)
		return err_set(e, "--tokenizer is of a model from nothing (--config), others have theirs");
	if (r->sample_steps > 0 && objective_find(r->objective)->masked)
		return err_set(e, "--sample-steps is of models that write, --objective %s is of those that do not",
		               r->objective);
	if (r->ratio_steps > 0 && method_adapter(r->method))
		return err_set(e, "--update-ratio-steps is of --method full: an adapter's layers begin at nothing");
	if (!r->model && !r->config)
		return err_set(e, "no model was given: a GGUF file or a Hugging Face folder is wanted");
	if (!r->data)
		return err_set(e, "no training rows were given: --data FILE is wanted");
	if (!r->out)
		return err_set(e, "no run directory was given: --out DIR is wanted");
	return 0;
}

void recipe_settle(struct recipe *r, const struct kernels *k)
{
	const struct adapter_type *type = method_adapter(r->method);

	if (!strcmp(r->compute, "auto") && type && type->f32)
		r->compute = "f32";
	r->compute = compute_name(compute_from_name(r->compute, k));
}

static int check_student(const struct recipe *r, struct err *e)
{
	if (!r->student_layers)
		return 0;
	if (strcmp(r->objective, "distill") != 0 || method_adapter(r->method))
		return err_set(e, "--student-layers is of --objective distill --method full: a smaller model that "
		                  "learns from the larger one, and is written whole");
	return r->qat ? err_set(e, "--student-layers and --qat do not go together: the smaller model first") : 0;
}

/* As transformers, which wants a floor where it is named. */
static int resolve_schedule(struct recipe *r, struct err *e)
{
	const struct optimizer *o = optimizer_find(r->optim);

	if (!r->lr_scheduler_type)
		r->lr_scheduler_type = o->schedule ? o->schedule : "linear";
	if (!strcmp(r->lr_scheduler_type, "cosine_with_min_lr") && !(r->min_lr_ratio > 0))
		return err_set(e, "--lr-scheduler-type cosine_with_min_lr needs --min-lr-ratio, above 0");
	return 0;
}

double recipe_method_rate(const struct recipe *r)
{
	return method_learning_rate(r->method, opt_row_options(method_rows, r->method_options, r->method));
}

int recipe_resolve(struct recipe *r, struct err *e)
{
	if (check_paths(r, e) < 0 || check_compute(r, e) < 0 || check_evaluation(r, e) < 0 ||
	    check_remedies(r, e) < 0 || check_adapter(r, e) < 0 || check_average(r, e) < 0 || check_spikes(r, e) < 0 ||
	    resolve_schedule(r, e) < 0 || qat_check(r, e) < 0 || check_student(r, e) < 0)
		return -1;
	const struct objective *objective = objective_find(r->objective);
	if (objective->check &&
	    objective->check(opt_row_options(objective_rows, r->objective_options, r->objective), e) < 0)
		return -1;
	if (!method_adapter(r->method) || r->qat)
		r->compute = "f32";
	if (r->config || r->student_layers) /* it has nothing to forget */
		r->forgetting = false;
	if (isnan(r->learning_rate))
		r->learning_rate = recipe_method_rate(r) * optimizer_find(r->optim)->rate * objective->rate;
	if (r->micro_batch_tokens == OPT_UNSET_INT)
		r->micro_batch_tokens =
			MAX((int64_t)MICRO_BATCH_TOKENS, objective_n_roles(objective) * r->max_length);
	if (r->save_total_limit == OPT_UNSET_INT && r->save_steps == OPT_UNSET_INT)
		r->save_total_limit = AUTOMATIC_SAVES_KEPT;
	if (r->max_steps == 0)
		return err_set(e, "--max-steps 0: nothing would be trained; 1 or more is wanted, or -1 for "
		                  "--num-train-epochs");
	if (r->max_steps < 0 && !(r->num_train_epochs > 0))
		return err_set(e, "--num-train-epochs %g: more than 0 is wanted", r->num_train_epochs);
	return 0;
}

static void add_unused(struct buf *sentence, const char *is)
{
	buf_addf(sentence, "%s%s", sentence->len ? "; " : "", is);
}

/* Options of schedules that another one has. */
static void unused_schedule(const struct recipe *r, const struct opt_parse *p, struct buf *sentence)
{
	static const struct { const char *option, *type, *also, *is; } of[] = {
		{ "decay-ratio", "wsd", "warmup_stable_decay", "--decay-ratio is of --lr-scheduler-type wsd" },
		{ "lr-decay-type", "wsd", "warmup_stable_decay", "--lr-decay-type is of --lr-scheduler-type wsd" },
		{ "lr-power", "polynomial", "polynomial", "--lr-power is of --lr-scheduler-type polynomial" },
		{ "lr-timescale", "inverse_sqrt", "inverse_sqrt",
		  "--lr-timescale is of --lr-scheduler-type inverse_sqrt" },
	};

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (opt_given(p, of[i].option) && strcmp(r->lr_scheduler_type, of[i].type) != 0 &&
		    strcmp(r->lr_scheduler_type, of[i].also) != 0)
			add_unused(sentence, of[i].is);
}

/* Of a new model, and of what is written while it learns. */
static void unused_new(const struct recipe *r, const struct opt_parse *p, struct buf *sentence)
{
	if (!r->config && r->mup_base_width > 0)
		add_unused(sentence, "--mup-base-width is of a model from nothing");
	if (!(r->sample_steps > 0) && r->sample_tokens > 0)
		add_unused(sentence, "--sample-tokens is of --sample-steps, which is not there");
	if (opt_given(p, "fim-spm-rate") && !opt_given(p, "fim-rate"))
		add_unused(sentence, "--fim-spm-rate is of --fim-rate, which is not there");
}

/* What another option makes void, and what makes the run void. */
static void unused_steps(const struct recipe *r, const struct opt_parse *p, struct buf *sentence)
{
	bool between = r->early_stopping_patience > 0 || r->load_best_model_at_end;

	if (r->learning_rate == 0)
		add_unused(sentence, "--learning-rate 0 moves no weight: the run measures and learns nothing");
	if (r->learning_rate * r->weight_decay >= 1)
		add_unused(sentence, "--weight-decay times --learning-rate is 1 or more: a step takes all of a weight, "
		                     "and more");
	if (!r->eval_data && r->data && !shards_are(r->data) && opt_given(p, "eval-steps"))
		add_unused(sentence, "--eval-steps is of --eval-data, which is not there");
	if (r->max_steps > 0 && opt_given(p, "num-train-epochs"))
		add_unused(sentence, "--num-train-epochs says nothing beside --max-steps");
	if (r->warmup_steps != OPT_UNSET_INT && opt_given(p, "warmup-ratio"))
		add_unused(sentence, "--warmup-ratio says nothing beside --warmup-steps");
	if (between && r->eval_steps == 0)
		buf_addf(sentence, "%s--%s compares evaluations, and with --eval-steps 0 there is none before the end",
		         sentence->len ? "; " : "",
		         r->load_best_model_at_end ? "load-best-model-at-end" : "early-stopping-patience");
}

void recipe_unused(const struct recipe *r, const struct opt_parse *p, struct buf *sentence)
{
	opt_unused(p, sentence);
	unused_schedule(r, p, sentence);
	unused_new(r, p, sentence);
	unused_steps(r, p, sentence);
	if (!(r->spike_threshold > 0) && (opt_given(p, "spike-window") || opt_given(p, "spike-rewind-steps")))
		add_unused(sentence, "--spike-window and --spike-rewind-steps are of --spike-threshold, which is not "
		                     "there");
	if (!(r->ema_decay > 0) && opt_given(p, "ema-weights"))
		add_unused(sentence, "--ema-weights is of --ema-decay, which is not there");
	if (!r->qat && (opt_given(p, "qat-start-step") || opt_given(p, "qat-imatrix") || r->qat_range_learning))
		add_unused(sentence, "--qat-start-step, --qat-imatrix and --qat-range-learning are of --qat, which is "
		                     "not there");
	if (!r->replay && opt_given(p, "replay-ratio"))
		add_unused(sentence, "--replay-ratio is of the rows of --replay, which is not there");
	if (!r->instruction_data && (opt_given(p, "instruction-ratio") || opt_given(p, "instruction-start")))
		add_unused(sentence, "--instruction-ratio and --instruction-start are of --instruction-data, which is "
		                     "not there");
	if (opt_given(p, "eval-tokens") && !(r->data && shards_are(r->data)))
		add_unused(sentence, "--eval-tokens is of token shards, and --data is none");
	if (r->retain && !r->forgetting && !(r->ewc > 0))
		add_unused(sentence, "--retain is for the measure of forgetting and --ewc, and there is neither");
}

json_t *recipe_record(const struct recipe *r)
{
	return opt_record_of(recipe_opts, r);
}

int recipe_load(struct recipe *r, struct opt_parse *p, const json_t *record, struct err *e)
{
	*r = (struct recipe){ 0 };
	if (opt_begin(p, recipe_opts, r, e) < 0)
		return -1;
	return opt_json(p, record, e);
}

const char *recipe_apart(const struct recipe *a, const struct recipe *b)
{
	const struct recipe *both[] = { a, b };

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		if (both[i]->spike_threshold > 0)
			return "--spike-threshold takes one run back, not several beside each other";
		if (both[i]->student_layers)
			return "--student-layers makes another model of it";
		if (both[i]->qat)
			return "--qat computes with weights of its own";
		if (both[i]->new_tokens)
			return "--new-tokens makes another model of it";
		if (!method_adapter(both[i]->method))
			return "--method full trains the model's own weights";
		if (objective_find(both[i]->objective)->labelled)
			return "an objective that learns labels has a head of its own rows";
	}
	if (strcmp(a->model, b->model) != 0)
		return "they have other models";
	if (a->four_bit.on != b->four_bit.on || a->four_bit.nested != b->four_bit.nested ||
	    strcmp(four_bit_type(&a->four_bit), four_bit_type(&b->four_bit)) != 0)
		return "they have another --load-in-4bit";
	return strcmp(a->compute, b->compute) != 0 ? "they have another --compute" : NULL;
}

static json_int_t global_batch(const json_t *record)
{
	return json_integer_value(json_object_get(record, "per_device_train_batch_size")) *
	       json_integer_value(json_object_get(record, "gradient_accumulation_steps"));
}

/* An option of a row that is not in use is in neither. */
static bool same_value(const json_t *before, const json_t *now, const char *name)
{
	char key[64];
	size_t n = strlen(name);
	if (n >= sizeof(key))
		BUG("an option of %zu letters", n);
	for (size_t i = 0; i <= n; i++)
		key[i] = name[i] == '-' ? '_' : name[i];
	const json_t *a = json_object_get(before, key), *b = json_object_get(now, key);
	return (!a && !b) || json_equal(a, b);
}

/* The first option by which two complete records differ, or NULL. */
static const char *difference(const json_t *before, const json_t *now)
{
	struct opt_table t;
	const char *other = NULL;

	opt_join(&t, recipe_opts);
	for (const struct opt *o = t.rows; o->type != OPT_TYPE_END && !other; o++)
		if (o->type != OPT_TYPE_GROUP && !is_among(o->name, free_options) && !same_value(before, now, o->name))
			other = o->name;
	opt_join_release(&t);
	return other;
}

/* What is recomputed of numbers that were kept in 8 bits is not what it was. */
static const char *recomputed(const json_t *before, const json_t *now)
{
	static const char name[] = "gradient-checkpointing";
	const char *kept = json_string_value(json_object_get(now, "activations"));

	return kept && !strcmp(kept, "8bit") && !same_value(before, now, name) ? name : NULL;
}

/* With what has become an option since then, at its default. */
static json_t *completed(const json_t *record, struct err *e)
{
	struct recipe r;
	struct opt_parse p;
	json_t *whole = recipe_load(&r, &p, record, e) < 0 ? NULL : recipe_record(&r);
	opt_release(&p);
	return whole;
}

int recipe_same_result(const json_t *before, const json_t *now, struct err *e)
{
	json_t *was = completed(before, e), *is = was ? completed(now, e) : NULL;
	const char *other = is ? difference(was, is) : NULL;
	int status = is ? 0 : err_prefix(e, "the recipe of the checkpoint");

	if (is && !other)
		other = recomputed(was, is);
	if (other)
		status = err_set(e, "the checkpoint was made with another --%s than the recipe has now", other);
	else if (is && global_batch(was) != global_batch(is))
		status = err_set(e,
		                 "the checkpoint was made with a global batch of %lld documents, the recipe has %lld",
		                 (long long)global_batch(was), (long long)global_batch(is));
	json_decref(was);
	json_decref(is);
	return status;
}
