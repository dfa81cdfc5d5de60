/* fine_tuning: OpenAI's Fine-tuning API over the jobs of serve/tuning.h. What a job asks is a command line of `kungfu
 * tune` with LoRA:
 *
 *     method.type               supervised: --objective sft, dpo: dpo, reinforcement: grpo
 *     n_epochs, batch_size      as they are; "auto": tune's own
 *     learning_rate_multiplier  times what tune would take (method, optimizer and objective), 1 for "auto"
 *     beta                      --beta of dpo
 *     save_steps                checkpoints that are kept, one each so many steps; "auto": tune's own
 *     num_generations, max_completion_length   of reinforcement, which are those of tune
 *     grader                    string_check with eq: --reward exact; or {"type": NAME} of a reward that needs nothing
 *                               more (exact, number, length, repetition)
 *
 * The rows of both files are read when the job is made: a line that is none, or of a shape that the method does not
 * learn from, is refused with its number. What a chat template says of them is found when the job begins. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/rows.h"
#include "data/shape.h"
#include "serve/beside.h"
#include "serve/files.h"
#include "serve/tuning.h"
#include "train/method.h"
#include "train/objective.h"
#include "train/optimizer.h"

enum { SUFFIX_MOST = 64, EPOCHS_MOST = 1000, BATCH_MOST = 4096 };

static const struct {
	const char *type, *objective;
} methods[] = { { "supervised", "sft" }, { "dpo", "dpo" }, { "reinforcement", "grpo" } };

/* What is asked, as it becomes a job. */
struct asking {
	struct openai *s;
	struct http_reply *r;
	const json_t *sent, *hyper; /* hyper: of the method; NULL: none are said */
	size_t method;              /* of `methods` */
	json_t *args;
};

#define refuse(x, code, key, ...) (openai_error((x)->r, 400, code, key, __VA_ARGS__), -1)

static void arg(struct asking *x, const char *name, json_t *value)
{
	json_array_append_new(x->args, json_sprintf("--%s", name));
	json_array_append_new(x->args, value);
}

static bool is_nothing(const json_t *j)
{
	return !j || json_is_null(j) ||
	       ((json_is_array(j) || json_is_object(j)) && !json_array_size(j) && !json_object_size(j));
}

/* All keys are known: used are those up to NULL. */
static int check_keys(struct asking *x, const json_t *of, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)of, key, value) {
		size_t i = 0;
		while (known[i] && strcmp(key, known[i]))
			i++;
		if (!known[i] && !is_nothing(value))
			return refuse(x, "unknown_parameter", key, "'%.60s' is not known here", key);
	}
	return 0;
}

/* --- method --- */

static int read_method(struct asking *x)
{
	const json_t *method = json_object_get(x->sent, "method"), *own;
	const char *type = method ? json_string_value(json_object_get(method, "type")) : "supervised", *key;
	json_t *value;

	while (x->method < ARRAY_LEN(methods) && (!type || strcmp(type, methods[x->method].type)))
		x->method++;
	if (x->method == ARRAY_LEN(methods))
		return refuse(x, "invalid_value", "method", "'method.type' is supervised, dpo or reinforcement");
	json_object_foreach ((json_t *)method, key, value)
		if (strcmp(key, "type") && strcmp(key, type) && !is_nothing(value))
			return refuse(x, "unknown_parameter", "method", "'method.%.60s' does not go with the type %s",
			              key, type);
	own = json_object_get(method, type);
	static const char *const known[] = { "hyperparameters", "grader", NULL }, *const plain[] = { "hyperparameters",
		                                                                                     NULL };
	if (own && check_keys(x, own, x->method == 2 ? known : plain) < 0)
		return -1;
	x->hyper = json_object_get(own, "hyperparameters");
	if (!x->hyper)
		x->hyper = json_object_get(x->sent, "hyperparameters");
	arg(x, "objective", json_string(methods[x->method].objective));
	arg(x, "method", json_string("lora"));
	return 0;
}

/* A number of the method, NAN where it is not said or "auto". */
static int number_of(struct asking *x, const char *key, double least, double most, bool whole, double *out)
{
	const json_t *j = json_object_get(x->hyper, key);
	double v = json_number_value(j);

	*out = NAN;
	if (!j || json_is_null(j) || (json_is_string(j) && !strcmp(json_string_value(j), "auto")))
		return 0;
	if (!json_is_number(j) || !(v >= least && v <= most) || (whole && v != floor(v)))
		return refuse(x, "invalid_value", key, "'%s' is auto or a %snumber from %g to %g", key,
		              whole ? "whole " : "", least, most);
	*out = v;
	return 0;
}

#define OF_ALL "n_epochs", "batch_size", "learning_rate_multiplier", "save_steps"

static int read_hyper(struct asking *x)
{
	static const char *const of_sft[] = { OF_ALL, NULL }, *const of_dpo[] = { OF_ALL, "beta", NULL },
				 *const of_grpo[] = { OF_ALL, "num_generations", "max_completion_length", NULL },
				 *const *const of[] = { of_sft, of_dpo, of_grpo };
	double epochs, batch, rate, save, beta = NAN, answers = NAN, length = NAN;

	if ((x->hyper && check_keys(x, x->hyper, of[x->method]) < 0) ||
	    number_of(x, "n_epochs", 1, EPOCHS_MOST, true, &epochs) < 0 ||
	    number_of(x, "batch_size", 1, BATCH_MOST, true, &batch) < 0 ||
	    number_of(x, "learning_rate_multiplier", 1e-6, 1e6, false, &rate) < 0 ||
	    number_of(x, "save_steps", 1, 1e9, true, &save) < 0 ||
	    (x->method == 1 && number_of(x, "beta", 1e-6, 1e6, false, &beta) < 0) ||
	    (x->method == 2 && (number_of(x, "num_generations", 2, 1024, true, &answers) < 0 ||
	                        number_of(x, "max_completion_length", 1, 1 << 20, true, &length) < 0)))
		return -1;
	if (isfinite(epochs))
		arg(x, "num-train-epochs", json_sprintf("%.0f", epochs));
	if (isfinite(batch))
		arg(x, "batch-size", json_sprintf("%.0f", batch));
	if (isfinite(save))
		arg(x, "save-steps", json_sprintf("%.0f", save));
	if (isfinite(rate))
		arg(x, "learning-rate",
		    json_sprintf("%.9g", rate * method_learning_rate("lora", NULL) * optimizer_find("adamw")->rate *
		                                 objective_find(methods[x->method].objective)->rate));
	if (isfinite(beta))
		arg(x, "beta", json_sprintf("%.9g", beta));
	if (isfinite(answers))
		arg(x, "num-generations", json_sprintf("%.0f", answers));
	if (isfinite(length))
		arg(x, "max-completion-length", json_sprintf("%.0f", length));
	return 0;
}

static int read_grader(struct asking *x)
{
	static const char *const rules[] = { "exact", "number", "length", "repetition" };
	const json_t *grader =
		json_object_get(json_object_get(json_object_get(x->sent, "method"), "reinforcement"), "grader");
	const char *type = json_string_value(json_object_get(grader, "type")),
		   *how = json_string_value(json_object_get(grader, "operation"));

	if (x->method != 2)
		return 0;
	if (type && !strcmp(type, "string_check") && how && !strcmp(how, "eq"))
		type = rules[0];
	for (size_t i = 0; type && i < ARRAY_LEN(rules); i++)
		if (!strcmp(type, rules[i])) {
			arg(x, "reward", json_string(rules[i]));
			return 0;
		}
	return refuse(x, "unsupported_value", "grader",
	              "A grader is here string_check with the operation eq, or "
	              "{\"type\": exact, number, length or repetition}, rules of kungfu tune --reward");
}

/* --- files --- */

/* Rows of a shape that the objective learns from. */
static int check_rows(const struct asking *x, const char *path, struct err *e)
{
	const struct objective *o = objective_find(methods[x->method].objective);
	struct rows rows;
	struct buf known = BUF_INIT;
	int status = rows_load(&rows, path, e);

	if (status == 0 && (!rows.n || !rows.shape || !objective_accepts(o, rows.shape))) {
		objective_shapes(o, &known);
		status = rows.n ? err_set(e, "line 1: a row has %s, and %s learns from %s", shape_name(rows.shape),
		                          methods[x->method].type, buf_str(&known)) :
		                  err_set(e, "there are no rows");
		buf_release(&known);
	}
	rows_release(&rows);
	return status;
}

static int read_file(struct asking *x, const char *key, const char *option)
{
	const char *id = json_string_value(json_object_get(x->sent, key));
	char *path = id ? files_path(x->s->o.beside->o.dir, id) : NULL;
	struct err e = ERR_INIT;

	if (!id && !json_object_get(x->sent, key) && strcmp(key, "training_file"))
		return 0;
	if (!path)
		return refuse(x, id ? "not_found" : "missing_parameter", key, "'%s' is no file that was uploaded", key);
	int status = check_rows(x, path, &e);
	if (status == 0) {
		arg(x, option, json_string(path));
	} else {
		/* by the name that the client knows it by */
		json_t *file = files_get(x->s->o.beside->o.dir, id);
		size_t n = strlen(path);
		bool named = !strncmp(e.msg, path, n);
		openai_error(x->r, 400, "invalid_training_file", key, "%s%s%s",
		             json_string_value(json_object_get(file, "filename")), named ? "" : ": ",
		             named ? e.msg + n : e.msg);
		json_decref(file);
	}
	mem_free(path);
	return status;
}

/* --- a job --- */

/* The model, or what it is gone on with: an adapter over it. */
static int read_model(struct asking *x)
{
	const char *name = json_string_value(json_object_get(x->sent, "model"));
	json_t *list, *one;
	size_t i;

	if (!x->s->o.adapters)
		return refuse(x, "unsupported_value", "model",
		              "This server's model takes no adapters by name, so none are "
		              "tuned for it");
	if (!name)
		return refuse(x, "missing_parameter", "model", "'model' is no text");
	if (openai_is_name(x->s, name))
		return 0;
	list = adapters_list(x->s->o.adapters);
	bool found = false;
	json_array_foreach (list, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "name")), name)) {
			arg(x, "adapter", json_incref(json_object_get(one, "path")));
			found = true;
		}
	json_decref(list);
	if (!found)
		openai_no_model(x->r, name);
	return found ? 0 : -1;
}

static int read_rest(struct asking *x)
{
	static const char *const known[] = {
		"model", "training_file", "validation_file", "hyperparameters", "method", "suffix", "seed", "metadata",
		NULL
	};
	const json_t *suffix = json_object_get(x->sent, "suffix"), *seed = json_object_get(x->sent, "seed");
	const char *text = json_string_value(suffix);
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (check_keys(x, x->sent, known) < 0)
		return -1;
	if (!is_nothing(suffix) && (!text || strlen(text) > SUFFIX_MOST || strspn(text, letters) != strlen(text)))
		return refuse(x, "invalid_value", "suffix", "'suffix' has letters, digits, - _ and ., %d at most",
		              SUFFIX_MOST);
	if (!is_nothing(seed) && (!json_is_integer(seed) || json_integer_value(seed) < 0))
		return refuse(x, "invalid_value", "seed", "'seed' is a whole number, 0 or more");
	if (!is_nothing(seed))
		arg(x, "seed", json_sprintf("%lld", (long long)json_integer_value(seed)));
	return 0;
}

/* The model's name in that of a result: as it was asked for, else its first. */
static char *base_of(struct openai *s, const char *asked)
{
	const char *first = openai_name(s);
	char *base = mem_strdup(openai_is_name(s, asked) ? asked : *first ? first : s->o.name);

	for (char *p = base; *p; p++)
		if (*p == '/')
			*p = '-';
	return base;
}

static json_t *or_null(const json_t *o, const char *key)
{
	json_t *j = json_object_get(o, key);

	return j ? json_incref(j) : json_null();
}

static json_t *job_of(const struct asking *x)
{
	static const char *const hyper[] = { "n_epochs", "batch_size", "learning_rate_multiplier" };
	const json_t *seed = json_object_get(x->sent, "seed");
	json_t *j =
		json_pack("{s:s, s:O, s:n, s:n, s:n, s:n, s:[], s:[], s:n, s:s}", "object", "fine_tuning.job", "model",
	                  json_object_get(x->sent, "model"), "fine_tuned_model", "finished_at", "trained_tokens",
	                  "error", "result_files", "integrations", "estimated_finish", "organization_id", "kungfu");
	json_t *h = x->hyper ? json_copy((json_t *)x->hyper) : json_object(),
	       *method = json_pack("{s:s}", "type", methods[x->method].type);

	for (size_t i = 0; i < ARRAY_LEN(hyper); i++) {
		if (!json_object_get(h, hyper[i]))
			json_object_set_new(h, hyper[i], json_string("auto"));
	}
	json_object_set_new(method, methods[x->method].type, json_pack("{s:O}", "hyperparameters", h));
	json_object_set_new(j, "hyperparameters", h);
	json_object_set_new(j, "method", method);
	json_object_set_new(j, "seed", is_nothing(seed) ? json_integer(42) : json_incref((json_t *)seed));
	json_object_set_new(j, "training_file", or_null(x->sent, "training_file"));
	json_object_set_new(j, "validation_file", or_null(x->sent, "validation_file"));
	json_object_set_new(j, "user_provided_suffix", or_null(x->sent, "suffix"));
	json_object_set_new(j, "metadata", or_null(x->sent, "metadata"));
	return j;
}

static void create(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct asking x = { .s = s, .r = r, .sent = sent, .args = json_array() };
	const char *suffix = json_string_value(json_object_get(sent, "suffix"));
	struct err e = ERR_INIT;

	(void)q;
	if (beside_dir(s, r) && read_model(&x) == 0 && read_rest(&x) == 0 && read_method(&x) == 0 &&
	    read_hyper(&x) == 0 && read_grader(&x) == 0 && read_file(&x, "training_file", "data") == 0 &&
	    read_file(&x, "validation_file", "eval-data") == 0) {
		char *base = base_of(s, json_string_value(json_object_get(sent, "model")));
		json_t *own = json_pack("{s:O, s:s, s:o, s:o}", "args", x.args, "base", s->o.name, "path",
		                        jsonx_path(s->o.path), "name",
		                        json_sprintf("ft:%s:%s", base, suffix ? suffix : ""));
		json_t *j = tuning_add(s->o.beside->tuning, job_of(&x), own, &e);
		if (j)
			openai_reply(r, j);
		else
			openai_error(r, 500, "server_error", NULL, "%s", e.msg);
		mem_free(base);
	}
	json_decref(x.args);
}

/* --- looking --- */

static void no_job(const char *id, struct http_reply *r)
{
	openai_error(r, 404, "not_found", "fine_tuning_job_id", "No such fine-tuning job: %.47s", id);
}

static void list(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)sent;
	if (!beside_dir(s, r))
		return;
	json_t *all = tuning_list(s->o.beside->tuning);
	beside_list(q, all, 20, 100, r);
	json_decref(all);
}

static void one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	char id[48];
	json_t *j;

	(void)sent;
	openai_part(q, 3, id, sizeof(id));
	if (!beside_dir(s, r))
		return;
	if ((j = tuning_get(s->o.beside->tuning, id)))
		openai_reply(r, j);
	else
		no_job(id, r);
}

static void of_job(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	char id[48], what[16];
	json_t *all;

	(void)sent;
	openai_part(q, 3, id, sizeof(id));
	openai_part(q, 4, what, sizeof(what));
	if (!beside_dir(s, r))
		return;
	struct tuning *t = s->o.beside->tuning;
	all = strcmp(what, "events") ? tuning_checkpoints(t, id) : tuning_events(t, id);
	if (all)
		beside_list(q, all, 20, 1000, r);
	else
		no_job(id, r);
	json_decref(all);
}

static void turn(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const struct {
		const char *call, *status;
	} to[] = { { "cancel", "cancelled" }, { "pause", "paused" }, { "resume", "queued" } };
	char id[48], what[16];
	json_t *now = NULL;
	size_t i = 0;

	(void)sent;
	openai_part(q, 3, id, sizeof(id));
	openai_part(q, 4, what, sizeof(what));
	if (!beside_dir(s, r))
		return;
	while (strcmp(what, to[i].call))
		i++;
	int status = tuning_turn_to(s->o.beside->tuning, id, to[i].status, &now);
	if (status < 0)
		no_job(id, r);
	else if (status > 0)
		openai_error(r, 400, "invalid_status", NULL, "The job is %s, so there is nothing to %s",
		             json_string_value(json_object_get(now, "status")), what);
	else
		openai_reply(r, json_incref(now));
	json_decref(now);
}

#define JOBS "/v1/fine_tuning/jobs"

const struct calls calls_fine_tuning = {
	.rows =
		(const struct call[]){
			{ "POST", (const char *const[]){ JOBS, NULL }, create, .uncharged = true },
			{ "GET", (const char *const[]){ JOBS, NULL }, list },
			{ "GET", (const char *const[]){ JOBS "/*/events", JOBS "/*/checkpoints", NULL }, of_job },
			{ "POST", (const char *const[]){ JOBS "/*/cancel", JOBS "/*/pause", JOBS "/*/resume", NULL },
	                  turn },
			{ "GET", (const char *const[]){ JOBS "/*", NULL }, one },
			{ 0 } },
};
