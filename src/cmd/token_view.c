/* token_view: the tokens of an answer with their probabilities, for eyes and as JSON. Probabilities are the model's
 * own, before temperature and all that follows it. */
#include "cmd/token_view.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/utf8.h"
#include "cmd/command.h"

/* From a fifth on, colours of the terminal's own scheme: red, magenta, yellow, cyan, green. */
static const char *const colors[] = { "\033[31m", "\033[35m", "\033[33m", "\033[36m", "\033[32m" };
static const double steps[] = { 0.05, 0.2, 0.5, 0.8 };

static const char *color_of(double p)
{
	size_t i = 0;
	while (i < ARRAY_LEN(steps) && p >= steps[i])
		i++;
	return colors[i];
}

void token_view_begin(struct token_view *v)
{
	sampler_init(&v->work, v->V);
	v->list = json_array();
	if (v->json)
		return;
	if (v->color)
		app_print("probability: %sbelow 5 %%\033[0m %sto 20 %%\033[0m %sto 50 %%\033[0m %sto 80 %%\033[0m "
		          "%sabove\033[0m\n",
		          colors[0], colors[1], colors[2], colors[3], colors[4]);
	else
		app_print("   logprob  probability  token\n");
}

static void piece_of(const struct tokenizer *t, int32_t id, struct buf *piece)
{
	if ((size_t)id < tokenizer_size(t))
		tokenizer_piece(t, id, piece);
}

json_t *token_string(const struct tokenizer *t, int32_t id)
{
	struct buf piece = BUF_INIT;

	piece_of(t, id, &piece);
	json_t *j = jsonx_text(buf_str(&piece), piece.len);
	buf_release(&piece);
	return j;
}

static void quote(const struct token_view *v, int32_t id, struct buf *out)
{
	json_t *j = token_string(v->tokenizer, id);
	char *s = jsonx_line(j);

	buf_adds(out, s);
	mem_free(s);
	json_decref(j);
}

static json_t *token_json(const struct token_view *v, int32_t id, double logprob)
{
	return json_pack("{s:o, s:i, s:o}", "token", token_string(v->tokenizer, id), "id", (int)id, "logprob",
	                 jsonx_number(logprob));
}

static void show_color(struct token_view *v, int32_t id, double logprob)
{
	struct buf text = BUF_INIT;

	if (!tokenizer_is_special(v->tokenizer, id))
		piece_of(v->tokenizer, id, &v->held);
	size_t n = utf8_complete(buf_str(&v->held), v->held.len);
	for (const char *at = buf_str(&v->held), *end = at + n, *stop; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		term_text(&text, at, (size_t)((stop ? stop : end) - at));
		if (!stop)
			break;
		buf_addc(&text, '\n');
	}
	if (n)
		app_print("%s%s\033[0m", color_of(exp(logprob)), buf_str(&text));
	memmove(v->held.data, v->held.data + n, n ? v->held.len - n : 0);
	v->held.len -= n;
	buf_release(&text);
}

static void show_columns(struct token_view *v, int32_t id, const float *logits, const int32_t *top, size_t n_top)
{
	struct buf line = BUF_INIT;
	double sum = logits_log_sum(logits, v->V), logprob = logits[id] - sum;

	buf_addf(&line, "%10.4f  %10.4f%%  ", logprob, 100 * exp(logprob));
	quote(v, id, &line);
	for (size_t i = 0; i < n_top; i++) {
		buf_adds(&line, i ? ", " : "   of ");
		quote(v, top[i], &line);
		buf_addf(&line, " %.4f", logits[top[i]] - sum);
	}
	app_print("%s\n", buf_str(&line));
	buf_release(&line);
}

void token_view_add(struct token_view *v, int32_t id, const float *logits)
{
	size_t n = MIN((size_t)v->top, v->V);
	int32_t *top = mem_array(n, sizeof(*top));

	if (n)
		sampler_top(&v->work, logits, top, n);
	if (v->json) {
		double sum = logits_log_sum(logits, v->V);
		json_t *j = token_json(v, id, logits[id] - sum), *others = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(others, token_json(v, top[i], logits[top[i]] - sum));
		json_object_set_new(j, "top_logprobs", others);
		json_array_append_new(v->list, j);
	} else if (v->color) {
		show_color(v, id, logits_logprob(logits, v->V, id));
	} else {
		show_columns(v, id, logits, top, n);
	}
	mem_free(top);
}

void token_view_end(struct token_view *v)
{
	json_decref(v->list);
	sampler_release(&v->work);
	buf_release(&v->held);
}
