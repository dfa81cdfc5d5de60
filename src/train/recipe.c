/* recipe: the table, its defaults that depend on one another, and its record. See recipe.h.
 *
 * Names and meanings are those of transformers' TrainingArguments, TRL's SFTConfig and PEFT's LoraConfig. Defaults are
 * TRL's and the LoRA literature's where those agree (r 8, alpha 16, all linears, rate 2e-4, warm-up 3 %, clipping at
 * 1). */
#include "train/recipe.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/mem.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "model/prepare.h"

enum { MICRO_BATCH_TOKENS = 1024, AUTOMATIC_SAVES_KEPT = 2 };

struct recipe_alone { struct recipe r; };
const struct opt recipe_opts[] = { RECIPE_OPTS(struct recipe_alone, r), OPT_END };

/* What may change between a run and its continuation. */
static const char *const free_options[] = {
	"model", "data", "eval-data", "out", "overwrite", "save-steps", "save-total-limit", "logging-steps", "memory",
	"gradient-checkpointing",
	/* Their product counts, see recipe_same_result. */
	"per-device-train-batch-size", "gradient-accumulation-steps", NULL
};
static const char *const lora_options[] = {
	"lora-r", "lora-alpha", "lora-dropout", "use-rslora", "target-modules", "modules-to-save", NULL
};

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

static bool is_full(const struct recipe *r)
{
	return !strcmp(r->method, "full");
}

static int check_method(const struct recipe *r, struct err *e)
{
	struct buf names = BUF_INIT;
	if (is_full(r))
		return strcmp(r->compute, "int8") ?
		               0 :
		               err_set(e, "--compute int8 is for frozen weights, --method full trains them all in f32");
	for (size_t i = 0; adapter_type_table[i]; i++) {
		if (!strcmp(adapter_type_table[i]->name, r->method))
			return 0;
		buf_addf(&names, "%s, ", adapter_type_table[i]->name);
	}
	err_set(e, "--method %s: there is %sfull", r->method, buf_str(&names));
	buf_release(&names);
	return -1;
}

static int check_evaluation(const struct recipe *r, struct err *e)
{
	const char *needs = r->early_stopping_patience > 0 ? "early-stopping-patience" :
		r->load_best_model_at_end ? "load-best-model-at-end" : NULL;
	if (needs && !r->eval_data)
		return err_set(e, "--%s needs --eval-data", needs);
	return 0;
}

static int check_paths(const struct recipe *r, struct err *e)
{
	if (!r->model)
		return err_set(e, "no model was given: a GGUF file or a Hugging Face folder is wanted");
	if (!r->data)
		return err_set(e, "no training rows were given: --data FILE is wanted");
	if (!r->out)
		return err_set(e, "no run directory was given: --out DIR is wanted");
	return 0;
}

void recipe_settle(struct recipe *r, const struct kernels *k)
{
	r->compute = compute_name(compute_from_name(r->compute, k));
}

static int resolve_optim(struct recipe *r, struct err *e)
{
	const struct optimizer *row = optimizer_find(r->optim);
	struct buf names = BUF_INIT;

	if (row) {
		r->optim = row->name;
		return 0;
	}
	for (size_t i = 0; optimizer_table[i]; i++)
		buf_addf(&names, "%s%s", i ? ", " : "", optimizer_table[i]->name);
	err_set(e, "--optim %s: there is %s", r->optim, buf_str(&names));
	buf_release(&names);
	return -1;
}

int recipe_resolve(struct recipe *r, struct err *e)
{
	if (check_paths(r, e) < 0 || check_method(r, e) < 0 || check_evaluation(r, e) < 0)
		return -1;
	if (!objective_find(r->objective))
		return err_set(e, "--objective %s: there is no such objective (sft is one)", r->objective);
	if (resolve_optim(r, e) < 0)
		return -1;
	if (is_full(r))
		r->compute = "f32";
	if (isnan(r->learning_rate))
		r->learning_rate = (is_full(r) ? 2e-5 : 2e-4) * optimizer_find(r->optim)->rate;
	if (r->micro_batch_tokens == OPT_UNSET_INT)
		r->micro_batch_tokens = MAX((int64_t)MICRO_BATCH_TOKENS, r->max_length);
	if (r->save_total_limit == OPT_UNSET_INT && r->save_steps == OPT_UNSET_INT)
		r->save_total_limit = AUTOMATIC_SAVES_KEPT;
	if (r->max_steps == 0)
		return err_set(
			e, "--max-steps 0: nothing would be learnt; 1 or more is wanted, or -1 for --num-train-epochs");
	if (r->max_steps < 0 && !(r->num_train_epochs > 0))
		return err_set(e, "--num-train-epochs %g: more than 0 is wanted", r->num_train_epochs);
	return 0;
}

json_t *recipe_record(const struct recipe *r)
{
	struct recipe copy = *r;
	struct opt_parse p = { .table = recipe_opts, .target = &copy };
	return opt_record(&p);
}

int recipe_load(struct recipe *r, struct opt_parse *p, const json_t *record, struct err *e)
{
	if (opt_begin(p, recipe_opts, r, e) < 0)
		return -1;
	return opt_json(p, record, e);
}

void recipe_unused(const struct recipe *r, const struct opt_parse *p, struct buf *names)
{
	if (!is_full(r))
		return;
	for (size_t i = 0; lora_options[i]; i++)
		if (opt_given(p, lora_options[i]))
			buf_addf(names, "%s--%s", names->len ? ", " : "", lora_options[i]);
}

static json_int_t global_batch(const json_t *record)
{
	return json_integer_value(json_object_get(record, "per_device_train_batch_size")) *
	       json_integer_value(json_object_get(record, "gradient_accumulation_steps"));
}

int recipe_same_result(const json_t *before, const json_t *now, struct err *e)
{
	char key[64];

	for (const struct opt *o = recipe_opts; o->type != OPT_TYPE_END; o++) {
		if (o->type == OPT_TYPE_GROUP || is_among(o->name, free_options))
			continue;
		size_t n = strlen(o->name);
		if (n >= sizeof(key))
			BUG("an option of %zu letters", n);
		for (size_t i = 0; i <= n; i++)
			key[i] = o->name[i] == '-' ? '_' : o->name[i];
		if (!json_equal(json_object_get(before, key), json_object_get(now, key)))
			return err_set(e, "the checkpoint was made with another --%s than the recipe has now", o->name);
	}
	if (global_batch(before) != global_batch(now))
		return err_set(e, "the checkpoint was made with a global batch of %lld documents, the recipe has %lld",
		               (long long)global_batch(before), (long long)global_batch(now));
	return 0;
}
