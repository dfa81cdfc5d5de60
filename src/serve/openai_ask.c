/* openai_ask: what a request for answers asks. Every key is one of a table: it is used, it changes no answer (why is
 * said), or it is refused by its name, as is a key that nobody knows. Numbers have OpenAI's ranges. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

enum { CHOICES = 128, STOPS = 16, LIKELY = 20, COMPLETION_TOKENS = 16 };

struct reading {
	struct openai *s;
	struct ask *a;
	const json_t *sent;
	struct http_reply *r;
};

#define refuse(x, code, key, ...) (openai_error((x)->r, 400, code, key, __VA_ARGS__), -1)

/* --- keys --- */

/* What of a key is taken: all values; those alone that change nothing. */
enum taken { USED, HARMLESS, EMPTY };
static const struct {
	const char *key;
	enum taken taken;
} keys[] = {
	{ "model" },
	{ "messages" },
	{ "prompt" },
	{ "max_tokens" },
	{ "max_completion_tokens" },
	{ "n" },
	{ "stream" },
	{ "stream_options" },
	{ "stop" },
	{ "seed" },
	{ "logit_bias" },
	{ "logprobs" },
	{ "top_logprobs" },
	{ "echo" },
	{ "temperature" },
	{ "top_p" },
	{ "presence_penalty" },
	{ "frequency_penalty" },
	{ "response_format" },
	{ "tools" },
	{ "tool_choice" },
	{ "parallel_tool_calls" },
	{ "chat_template_kwargs" },
	/* beside OpenAI's: vLLM's and llama-server's */
	{ "top_k" },
	{ "min_p" },
	{ "typical_p" },
	{ "repetition_penalty" },
	{ "repeat_penalty" },
	{ "repeat_last_n" },
	{ "t_max_predict_ms" },
	{ "grammar" },
	{ "json_schema" },
	{ "structured_outputs" },
	/* kungfu's own */
	{ "documents" },
	{ "num_documents" },
	/* of who asks, of storing, of another's machines */
	{ "user", HARMLESS },
	{ "metadata", HARMLESS },
	{ "service_tier", HARMLESS },
	{ "store", EMPTY },
	{ "safety_identifier", HARMLESS },
	{ "prompt_cache_key", HARMLESS },
	{ "prompt_cache_retention", HARMLESS },
	/* not done here, unless they ask for nothing */
	{ "functions", EMPTY },
	{ "function_call", EMPTY },
	{ "suffix", EMPTY },
	{ "audio", EMPTY },
	{ "prediction", EMPTY },
	{ "web_search_options", EMPTY },
	{ "reasoning_effort", EMPTY },
	{ "verbosity", EMPTY },
	/* older words of vLLM's for structured_outputs */
	{ "guided_json", EMPTY },
	{ "guided_regex", EMPTY },
	{ "guided_choice", EMPTY },
	{ "guided_grammar", EMPTY },
};

bool openai_is_nothing(const json_t *j)
{
	return json_is_null(j) || json_is_false(j) || (json_is_array(j) && !json_array_size(j)) ||
	       (json_is_string(j) && !json_string_length(j));
}

static int check_model(struct reading *x)
{
	return engine_batcher(x->s->o.engine) || x->s->o.labels_alone ? 0 :
	                                        refuse(x, "unsupported_value", "model",
	                                               "This model answers nothing; "
	                                               "it is asked for embeddings");
}

static int check_keys(struct reading *x)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)x->sent, key, value) {
		size_t i = 0;
		while (i < ARRAY_LEN(keys) && strcmp(key, keys[i].key))
			i++;
		if (i == ARRAY_LEN(keys) && !json_is_null(value))
			return refuse(x, "unknown_parameter", key,
			              "'%.60s' is not known here, so it is not left out "
			              "in silence",
			              key);
		if (i < ARRAY_LEN(keys) && keys[i].taken == EMPTY && !openai_is_nothing(value))
			return refuse(x, "unsupported_parameter", key, "'%s' is not served here", key);
	}
	return 0;
}

/* --- values --- */

static int read_number(struct reading *x, const char *key, double init, double least, double most, double *out)
{
	const json_t *j = json_object_get(x->sent, key);

	*out = json_is_number(j) ? json_number_value(j) : init;
	if (j && !json_is_null(j) && !json_is_number(j))
		return refuse(x, "invalid_type", key, "'%s' is no number", key);
	if (json_is_number(j) && !(*out >= least && *out <= most))
		return refuse(x, "invalid_value", key, "'%s' is %g; %g to %g was wanted", key, *out, least, most);
	return 0;
}

static int read_count(struct reading *x, const char *key, double init, double least, double most, double *out)
{
	if (read_number(x, key, init, least, most, out) < 0)
		return -1;
	return isfinite(*out) && *out != floor(*out) ? refuse(x, "invalid_type", key, "'%s' is no whole number", key) :
	                                               0;
}

static int read_flag(struct reading *x, const json_t *in, const char *key, bool *out)
{
	const json_t *j = json_object_get(in, key);

	*out = json_is_true(j);
	return !j || json_is_null(j) || json_is_boolean(j) ?
	               0 :
	               refuse(x, "invalid_type", key, "'%s' is not true or false", key);
}

static void set_watermark(struct ask *a, const struct watermark *w)
{
	if (w->hashing_key <= 0)
		return;
	sampler_choice_set(&a->sampling, "watermark-hashing-key", (double)w->hashing_key);
	sampler_choice_set(&a->sampling, "watermark-greenlist-ratio", w->greenlist_ratio);
	sampler_choice_set(&a->sampling, "watermark-bias", w->bias);
}

static int read_sampling(struct reading *x)
{
	static const struct {
		const char *key, *option;
		double least, most;
	} steps[] = {
		{ "temperature", "temperature", 0, 2 },
		{ "top_p", "top-p", 0, 1 },
		{ "presence_penalty", "presence-penalty", -2, 2 },
		{ "frequency_penalty", "frequency-penalty", -2, 2 },
		{ "top_k", "top-k", -1, 1e9 },
		{ "min_p", "min-p", 0, 1 },
		{ "typical_p", "typical-p", 0, 1 },
		{ "repetition_penalty", "repetition-penalty", 0.01, 100 },
		{ "repeat_penalty", "repetition-penalty", 0.01, 100 },
		{ "repeat_last_n", "repeat-last-n", -1, 1e9 },
	};

	sampler_choose(&x->a->sampling);
	sampler_choice_set(&x->a->sampling, "temperature", 1);
	set_watermark(x->a, &x->s->o.watermark);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		double value;
		if (read_number(x, steps[i].key, NAN, steps[i].least, steps[i].most, &value) < 0)
			return -1;
		if (!isnan(value))
			sampler_choice_set(&x->a->sampling, steps[i].option,
			                   !strcmp(steps[i].key, "top_k") && value < 0 ? 0 : value);
	}
	return 0;
}

static int read_bias(struct reading *x)
{
	json_t *all = json_object_get(x->sent, "logit_bias"), *value;
	struct ask *a = x->a;
	int V = x->s->o.model->config.V;
	const char *key;

	if (!all || json_is_null(all))
		return 0;
	if (!json_is_object(all))
		return refuse(x, "invalid_type", "logit_bias", "'logit_bias' is an object of token ids");
	a->bias = mem_array(json_object_size(all), sizeof(*a->bias));
	json_object_foreach (all, key, value) {
		char *end;
		long id = strtol(key, &end, 10);
		double bias = json_is_number(value) ? json_number_value(value) : NAN;
		if (*end || end == key || id < 0 || id >= V || !(fabs(bias) <= 100))
			return refuse(x, "invalid_value", "logit_bias",
			              "'logit_bias' has \"%.40s\": a token of 0 to %d and "
			              "a number of -100 to 100 was wanted",
			              key, V - 1);
		/* −100 is never, as OpenAI says it */
		a->bias[a->n_bias++] = (struct logit_bias){ (int32_t)id, bias <= -100 ? -INFINITY : (float)bias };
	}
	return 0;
}

static int read_stop(struct reading *x)
{
	const json_t *stop = json_object_get(x->sent, "stop");
	size_t n = json_is_array(stop) ? json_array_size(stop) : json_is_string(stop);
	struct ask *a = x->a;

	if ((stop && !json_is_null(stop) && !json_is_array(stop) && !json_is_string(stop)) || n > STOPS)
		return refuse(x, "invalid_value", "stop", "'stop' is a text or a list of %d texts at most", STOPS);
	a->stop = mem_array(n + 2, sizeof(*a->stop));
	if (x->s->o.before && x->s->o.raw) /* examples as text: where the next would begin */
		a->stop[a->n_stop++] = mem_strdup("\n\n");
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(stop) ? json_array_get(stop, i) : stop;
		if (!json_is_string(one))
			return refuse(x, "invalid_type", "stop", "'stop' has something that is no text");
		if (json_string_length(one))
			a->stop[a->n_stop++] = mem_strdup(json_string_value(one));
	}
	return 0;
}

static int read_format(struct reading *x)
{
	bool parallel;

	if (json_array_size(json_object_get(x->sent, "tools")) && (!x->a->chat || x->s->o.labels_alone))
		return refuse(x, "unsupported_parameter", "tools",
		              x->a->chat ? "'tools': a label answers here, which calls nothing" :
		                           "'tools' are of /v1/chat/completions and responses");
	if (read_flag(x, x->sent, "parallel_tool_calls", &parallel) < 0)
		return -1;
	return ask_constrain(x->a, x->sent, x->r);
}

/* chat: logprobs is a flag, top_logprobs how many; else logprobs is how many. */
static int read_logprobs(struct reading *x)
{
	const json_t *j = json_object_get(x->sent, "logprobs");
	struct ask *a = x->a;
	double top;

	if (read_count(x, a->chat ? "top_logprobs" : "logprobs", -1, 0, LIKELY, &top) < 0)
		return -1;
	if (a->chat && read_flag(x, x->sent, "logprobs", &a->logprobs) < 0)
		return -1;
	if (a->chat && top >= 0 && !a->logprobs)
		return refuse(x, "invalid_value", "top_logprobs", "'top_logprobs' wants 'logprobs' to be true");
	if (!a->chat)
		a->logprobs = j && !json_is_null(j);
	a->top_logprobs = top > 0 ? (int)top : 0;
	return 0;
}

static int read_stream(struct reading *x)
{
	const json_t *options = json_object_get(x->sent, "stream_options");

	if (read_flag(x, x->sent, "stream", &x->a->stream) < 0)
		return -1;
	if (!options || json_is_null(options))
		return 0;
	if (!json_is_object(options) || !x->a->stream)
		return refuse(x, "invalid_value", "stream_options", "'stream_options' is an object, of a stream");
	return read_flag(x, options, "include_usage", &x->a->include_usage);
}

static int read_echo(struct reading *x)
{
	if (read_flag(x, x->sent, "echo", &x->a->echo) < 0)
		return -1;
	if (x->a->echo && x->a->chat)
		return refuse(x, "unsupported_value", "echo", "'echo' is of /v1/completions alone");
	if (x->a->echo && x->a->logprobs && x->a->stream)
		return refuse(x, "unsupported_value", "echo", "'echo' with 'logprobs' is not streamed");
	return 0;
}

/* How long an answer may get: OpenAI's completions are short unless they say otherwise. */
static int read_length(struct reading *x)
{
	double asked, completion;

	if (read_count(x, "max_tokens", NAN, x->a->echo ? 0 : 1, 1 << 24, &asked) < 0 ||
	    read_count(x, "max_completion_tokens", NAN, 1, 1 << 24, &completion) < 0)
		return -1;
	if (!isnan(completion))
		asked = completion;
	x->a->says_length = !isnan(asked);
	if (isnan(asked) && !x->a->chat)
		asked = COMPLETION_TOKENS;
	x->a->max_new_tokens = isnan(asked) ? (size_t)x->s->o.context : (size_t)asked;
	return read_number(x, "t_max_predict_ms", 0, 0, 1e9, &x->a->max_ms);
}

/* Are there more that wait than may? */
static int check_queue(struct reading *x)
{
	struct openai *s = x->s;

	pthread_mutex_lock(&s->lock);
	int waiting = s->pending - s->o.parallel;
	pthread_mutex_unlock(&s->lock);
	if (waiting < s->o.queue)
		return 0;
	openai_busy(s, x->r, "%d answers are waiting already", MAX(waiting, 0));
	return -1;
}

/* --- prompts --- */

static int is_ids(const json_t *j)
{
	return json_is_array(j) && json_array_size(j) && json_is_integer(json_array_get(j, 0));
}

static int take_ids(struct reading *x, const json_t *list, struct tokens *out)
{
	int V = x->s->o.model->config.V;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *id = json_array_get(list, i);
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= V)
			return refuse(x, "invalid_value", "prompt",
			              "'prompt' has something that is no token: 0 to %d was "
			              "wanted",
			              V - 1);
		tokens_add(out, (int32_t)json_integer_value(id));
	}
	return 0;
}

static int take_text(struct reading *x, const json_t *text, struct tokens *out)
{
	struct err e = ERR_INIT;
	struct holder *caller = openai_pause(x->s);
	int status = openai_text_ids(x->s, json_string_value(text), json_string_length(text), out, &e);

	openai_go_on(x->s, caller);
	if (status < 0)
		return refuse(x, "invalid_value", "prompt", "'prompt': %s", e.msg);
	return 0;
}

/* Where something stands before what is asked, it does so here too, or nothing is continued. */
static int check_before(struct reading *x, const json_t *one)
{
	if (!x->s->o.before)
		return 0;
	if (!x->s->o.raw)
		return refuse(x, "unsupported_value", "prompt",
		              "What stands before each question here are turns of a conversation: it is asked by "
		              "/v1/chat/completions");
	if (!json_is_string(one) || x->a->echo)
		return refuse(x, "unsupported_value", x->a->echo ? "echo" : "prompt",
		              "A text stands before each question here: token ids and 'echo' are of a prompt alone");
	return 0;
}

static int take_prompt(struct reading *x, const json_t *one, size_t i)
{
	struct ask *a = x->a;

	if (!json_is_string(one) && !is_ids(one))
		return refuse(x, "invalid_type", "prompt",
		              "'prompt' is a text, a list of texts, or token ids, or a list of "
		              "these");
	if (check_before(x, one) < 0)
		return -1;
	if ((json_is_string(one) ? take_text : take_ids)(x, one, &a->prompts[i]) < 0)
		return -1;
	if (!a->prompts[i].n)
		return refuse(x, "invalid_value", "prompt", "'prompt' has no token, and the model begins with none");
	ask_watch_prompt(a, i, one);
	if (a->echo) {
		struct buf text = BUF_INIT;
		if (json_is_string(one))
			buf_adds(&text, json_string_value(one));
		else
			tokenizer_decode(x->s->o.model->tokenizer, a->prompts[i].id, a->prompts[i].n, true, &text);
		a->prompt_texts[i] = mem_strndup(buf_str(&text), text.len);
		buf_release(&text);
	}
	return 0;
}

/* With documents it is written once more, when they are there. */
static int read_conversation(struct reading *x)
{
	struct ask *a = x->a;
	struct tokens plain = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	int status = conversation_read(x->s, x->sent, &a->talk, x->r);

	if (status == 0) {
		struct holder *caller = openai_pause(x->s);
		status = conversation_ids(x->s, &a->talk, a->documents ? &plain : &a->prompts[0], &text, &e);
		openai_go_on(x->s, caller);
		if (status < 0)
			status = refuse(x, "invalid_messages", "messages", "%s", e.msg);
	}
	if (status == 0)
		status = ask_tools(a, x->sent, &text, x->r);
	if (status == 0 && a->documents && plain.n + 1 > (size_t)x->s->o.context) /* sources make it longer only */
		status = refuse(x, "context_length_exceeded", "messages",
		                "This model's context holds %d tokens; the prompt has %zu without its sources",
		                x->s->o.context, plain.n);
	if (status == 0)
		ask_watch_messages(a, a->talk.messages, json_array_size(json_object_get(x->sent, "messages")));
	if (!a->documents)
		conversation_release(&a->talk);
	tokens_release(&plain);
	buf_release(&text);
	return status;
}

static int read_prompts(struct reading *x)
{
	const json_t *prompt = json_object_get(x->sent, "prompt");
	struct ask *a = x->a;
	bool many = json_is_array(prompt) && !is_ids(prompt);
	int status = 0;

	size_t n = a->chat || !many ? 1 : json_array_size(prompt);
	if (n == 0 || n > CHOICES)
		return refuse(x, "invalid_value", "prompt", "'prompt' has %zu prompts; 1 to %d was wanted", n,
		              CHOICES);
	a->n_prompts = n;
	a->prompts = mem_array(a->n_prompts, sizeof(*a->prompts));
	a->prompt_texts = mem_array(a->n_prompts, sizeof(*a->prompt_texts));
	if (x->s->o.labels_alone)
		return 0;
	if (a->documents && !a->chat) {
		ask_watch_prompt(a, 0, prompt);
		a->talk.messages = json_pack("[{s:s, s:O}]", "role", "user", "content", prompt);
		return check_before(x, prompt);
	}
	if (a->chat)
		return read_conversation(x);
	for (size_t i = 0; i < a->n_prompts && status == 0; i++)
		status = take_prompt(x, many ? json_array_get(prompt, i) : prompt, i);
	return status;
}

bool ask_too_long(const struct ask *a, struct err *e)
{
	size_t context = (size_t)a->s->o.context, wanted = a->says_length ? a->max_new_tokens : 1;

	for (size_t i = 0; i < a->n_prompts; i++)
		if (a->prompts[i].n + wanted > context) {
			err_set(e,
			        "This model's context holds %zu tokens; the prompt has %zu, and %zu are asked for as "
			        "the answer",
			        context, a->prompts[i].n, wanted);
			return true;
		}
	return false;
}

static int check_context(struct reading *x)
{
	struct err e = ERR_INIT;

	return !x->a->documents && ask_too_long(x->a, &e) ? /* with documents when they are there */
	               refuse(x, "context_length_exceeded", x->a->chat ? "messages" : "prompt", "%s", e.msg) :
	               0;
}

/* --- all of it --- */

static int read_choices(struct reading *x)
{
	struct ask *a = x->a;
	double n, seed;
	uint64_t number;

	if (read_count(x, "n", 1, 1, CHOICES, &n) < 0 || read_count(x, "seed", NAN, -9e15, 9e15, &seed) < 0)
		return -1;
	if (a->n_prompts * (size_t)n > CHOICES)
		return refuse(x, "invalid_value", "n", "%zu prompts with %g answers each are more than %d",
		              a->n_prompts, n, CHOICES);
	pthread_mutex_lock(&x->s->lock);
	number = x->s->next_id++;
	pthread_mutex_unlock(&x->s->lock);
	snprintf(a->id, sizeof(a->id), "%s-%016llx", a->chat ? "chatcmpl" : "cmpl",
	         (unsigned long long)(x->s->salt ^ number * 0x9E3779B97F4A7C15ULL));
	a->n_choices = a->n_prompts * (size_t)n;
	a->choices = mem_array(a->n_choices, sizeof(*a->choices));
	for (size_t i = 0; i < a->n_choices; i++) {
		size_t prompt = i / (size_t)n;
		a->choices[i] = (struct choice){
			.ask = a,
			.index = (int)i,
			.prompt = &a->prompts[prompt],
			.ticket = -1,
			.pattern = { .steps = a->sampling.steps,
			             .bias = a->bias,
			             .n_bias = a->n_bias,
			             .seed = isnan(seed) ? x->s->salt + number : (uint64_t)(int64_t)seed,
			             .stream = (uint32_t)(i % (size_t)n) },
		};
	}
	return 0;
}

struct ask *ask_read(struct openai *s, const json_t *sent, bool chat, struct http_reply *r)
{
	struct ask *a = mem_alloc(sizeof(*a));
	struct reading x = { s, a, sent, r };
	const char *model;

	*a = (struct ask){ .s = s, .form = &openai_form, .chat = chat, .created = (int64_t)time(NULL) };
	a->key = chat ? "messages" : "prompt";
	a->adapter = openai_model(s, sent, &model, r);
	if (a->adapter == -2 || check_model(&x) < 0 || check_keys(&x) < 0 || read_sampling(&x) < 0 ||
	    read_bias(&x) < 0 || read_stop(&x) < 0 || read_format(&x) < 0 || read_logprobs(&x) < 0 ||
	    read_stream(&x) < 0 || read_echo(&x) < 0 || !ask_logprobs_allowed(a, r) || read_length(&x) < 0 ||
	    ask_documents_read(a, sent, r) < 0 || read_prompts(&x) < 0 || ask_said_read(a, sent, r) < 0 ||
	    check_context(&x) < 0 || check_queue(&x) < 0 || read_choices(&x) < 0) {
		ask_free(a);
		return NULL;
	}
	a->model = mem_strdup(model);
	ask_read_calls(a);
	buf_release(&a->format);
	return a;
}

void ask_free(struct ask *a)
{
	for (size_t i = 0; i < a->n_choices; i++) {
		json_decref(a->choices[i].tokens);
		buf_release(&a->choices[i].text);
		choice_calls_release(&a->choices[i]);
	}
	for (size_t i = 0; i < a->n_prompts; i++) {
		tokens_release(&a->prompts[i]);
		mem_free(a->prompt_texts[i]);
		if (a->questions)
			mem_free(a->questions[i]);
	}
	for (size_t i = 0; i < a->n_stop; i++)
		mem_free(a->stop[i]);
	charge_release(a->s, &a->charge);
	grammar_free(a->grammar);
	buf_release(&a->format);
	json_decref(a->kinds);
	sampler_choice_release(&a->sampling);
	sampler_release(&a->work);
	json_decref(a->own);
	json_decref(a->sources);
	conversation_release(&a->talk);
	ask_watched_free(a);
	ask_echo_free(a);
	buf_release(&a->held);
	mem_free(a->refused);
	mem_free(a->choices);
	mem_free(a->prompts);
	mem_free(a->prompt_texts);
	mem_free(a->questions);
	mem_free(a->stop);
	mem_free(a->bias);
	mem_free(a->model);
	mem_free(a);
}
