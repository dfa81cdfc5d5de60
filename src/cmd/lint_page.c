/* lint_page: documents as a page of HTML. A token is a span, or several where one character needs them; its class
 * says whether it is learnt, special, and of which role. The role is what the template's own text says: a word such
 * as "user" right after a special token holds until the next.
 *
 * A page is for looking, so it is a sample: the first documents, and of each only the first tokens; what is left out is
 * said. Of the other documents those are there that the lint names: the refused, the empty and those that repeat
 * another, as many as it keeps. */
#include "cmd/lint_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/markup.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/utf8.h"
#include "chart/chart.h"
#include "data/shape.h"

enum { TOKENS_MAX = 4000, GROUP_MAX = 8, ROLE_TOKENS = 10 };

static const char style[] =
	"body{margin:0 auto;max-width:60rem;padding:1rem;background:#fff;color:#1b1f24;font:15px/1.5 "
        "system-ui,sans-serif}"
	"h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td{padding:.1rem .8rem "
        ".1rem 0}td.n{text-align:right}"
	".doc{border:1px solid #d5dae0;border-radius:6px;margin:.8rem 0;padding:.5rem "
        ".8rem}.head{color:#57606a;font-size:.85rem}"
	".text{white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.6 ui-monospace,monospace;margin-top:.4rem}"
	".t{border-radius:3px;box-shadow:inset -1px 0 "
        "#0002}.l{background:#c9f0d3;color:#0b4a1c}.p{color:#6a737d}.s{background:#ece5fb;color:#5b2da0;font-size:."
        "85em}"
	".l.s{background:#c9f0d3}"
	".r{border-radius:3px;padding:0 "
        ".3rem;font-size:.75rem;background:#dbe9ff;color:#10458f}.warn{background:#fff0c8;color:#6b4a00;border-radius:"
        "4px;padding:.1rem .4rem}"
	".refused{background:#ffdedd;color:#8c1610;border-radius:4px;padding:.1rem .4rem}"
	"@media(prefers-color-scheme:dark){body{background:#14171c;color:#e6e9ed}.doc{border-color:#323943}.head{color:"
        "#9aa4af}.t{box-shadow:inset -1px 0 #fff2}"
	".l{background:#123c20;color:#a6f0bb}.p{color:#8b95a1}.s{background:#30264a;color:#cbb5ff}.l.s{background:#"
        "123c20}.r{background:#16315c;color:#a9ccff}"
	".warn{background:#463608;color:#ffdf8a}.refused{background:#56201d;color:#ffb9b4}}";

static void add(struct buf *out, const char *text) { markup_text(out, text, strlen(text)); }

/* --- tokens --- */

/* The role with which the text from token i on begins, NULL for none. */
static const char *role_at(const struct tokenizer *t, const struct document *d, int32_t i)
{
	static const char *const roles[] = { "system", "user", "assistant", "tool" };
	struct buf text = BUF_INIT;
	const char *role = NULL;
	tokenizer_decode(t, d->ids + i, (size_t)MIN(d->n - i, ROLE_TOKENS), false, &text);
	for (size_t k = 0; k < ARRAY_LEN(roles); k++)
		if (!strncmp(buf_str(&text), roles[k], strlen(roles[k])))
			role = roles[k];
	buf_release(&text);
	return role;
}

/* Line ends and tabs are shown as what they are, beside doing what they do. */
static void add_shown(struct buf *out, const struct buf *text)
{
	for (size_t at = 0, n; at < text->len; at += n) {
		n = strcspn(text->data + at, "\n\t");
		n = MIN(n, text->len - at);
		markup_text(out, text->data + at, n);
		if (at + n < text->len)
			buf_adds(out, text->data[at + n++] == '\n' ? "↵\n" : "→\t");
	}
}

/* The tokens from i on that make whole characters; how many. */
static int32_t take_token(const struct tokenizer *t, const struct document *d, int32_t i, struct buf *text)
{
	int32_t n = 0;
	buf_clear(text);
	do {
		tokenizer_piece(t, d->ids[i + n], text);
		n++;
	} while (utf8_complete(buf_str(text), text->len) < text->len && n < GROUP_MAX && i + n < d->n &&
	         d->learn[i + n] == d->learn[i]);
	return n;
}

static void add_tokens(struct buf *out, const struct tokenizer *t, const struct document *d)
{
	struct buf text = BUF_INIT;
	const char *role = NULL;
	bool after_special = false;
	int32_t end = (int32_t)MIN(d->n, TOKENS_MAX);

	for (int32_t i = 0, n; i < end; i += n) {
		bool special = tokenizer_is_special(t, d->ids[i]);
		n = take_token(t, d, i, &text);
		const char *says = after_special ? role_at(t, d, i) : NULL;
		if (says && (!role || strcmp(says, role) != 0))
			buf_addf(out, "<span class=\"r\">%s</span>", says);
		role = says ? says : role;
		buf_addf(out, "<span class=\"t %c%s\" title=\"%d%s%s\">", d->learn[i] ? 'l' : 'p', special ? " s" : "",
		         d->ids[i], d->learn[i] ? ", trained on" : "", special ? ", special" : "");
		add_shown(out, &text);
		buf_adds(out, "</span>");
		after_special = special;
	}
	if (end < d->n)
		sentence_add(out, " <span class=\"head\">… and %d tokens more</span>", d->n - end);
	buf_release(&text);
}

/* --- documents --- */

static bool same_place(const struct finding *f, const struct document *d)
{
	return f->line == d->line && f->file && d->file && !strcmp(f->file, d->file);
}

/* The first that speaks of its row, NULL for none. */
static const struct finding *found(const struct findings *all, const struct document *d)
{
	for (size_t i = 0; i < findings_kept(all); i++)
		if (same_place(&all->first[i], d))
			return &all->first[i];
	return NULL;
}

static bool is_told(const struct lint_page_side *s, const struct document *d)
{
	return found(s->refused, d) || found(&s->lint->duplicates, d) || found(&s->lint->empty, d);
}

static void add_warning(struct buf *out, const char *class, const char *what, const struct finding *f)
{
	if (!f)
		return;
	buf_addf(out, "<div><span class=\"%s\">%s", class, what);
	add(out, f->text);
	buf_adds(out, "</span></div>");
}

static void add_warnings(struct buf *out, const struct lint_page *p, const struct lint_page_side *s,
                         const struct document *d)
{
	add_warning(out, "refused", "refused: ", found(s->refused, d));
	if (d->n_cut)
		sentence_add(out, "<div><span class=\"warn\">cut: its last %d tokens are not seen</span></div>",
		             d->n_cut);
	add_warning(out, "warn", "", found(&s->lint->empty, d));
	add_warning(out, "warn", "repeats ", found(&s->lint->duplicates, d));
	if (s != p->sides && lint_has(p->sides->lint, p->tokenizer, d))
		buf_adds(out, "<div><span class=\"warn\">among the training rows, too</span></div>");
}

static void add_document(struct buf *out, const struct lint_page *p, const struct lint_page_side *s,
                         const struct document *d)
{
	buf_adds(out, "<div class=\"doc\"><div class=\"head\">");
	add(out, d->file ? d->file : "");
	sentence_add(out, ":%zu · %d tokens, %d trained on", d->line, d->n, d->n_learn);
	if (shape_role(s->rows->shape, d->role))
		buf_addf(out, " · %s", shape_role(s->rows->shape, d->role));
	else if (d->choice >= 0)
		buf_addf(out, " · choice %d", d->choice);
	buf_adds(out, "</div>");
	add_warnings(out, p, s, d);
	buf_adds(out, "<div class=\"text\">");
	add_tokens(out, p->tokenizer, d);
	buf_adds(out, "</div></div>\n");
}

static void add_documents(struct buf *out, const struct lint_page *p, const struct lint_page_side *s)
{
	size_t shown = 0;
	struct buf rows = BUF_INIT;
	for (size_t i = 0; i < s->documents->n; i++) {
		const struct document *d = &s->documents->items[i];
		if (i >= p->limit && !is_told(s, d))
			continue;
		add_document(&rows, p, s, d);
		shown++;
	}
	buf_addf(out,
	         "<h2>Rows</h2><p>%zu of %zu documents are shown: the first %zu, and of the others those found "
	         "refused, empty or repeated. ",
	         shown, s->documents->n, MIN(p->limit, s->documents->n));
	buf_adds(out, "<span class=\"t l\">trained on</span> <span class=\"t p\">seen, not trained "
	              "on</span> <span class=\"t s\">special token</span> "
	              "<span class=\"t l s\">special token, trained on</span></p>\n");
	buf_add(out, buf_str(&rows), rows.len);
	buf_release(&rows);
}

/* --- totals --- */

static void add_total(struct buf *out, const char *what, size_t n, const char *rest)
{
	buf_adds(out, "<tr><td>");
	add(out, what);
	buf_addf(out, "</td><td class=\"n\">%zu</td><td>", n);
	add(out, rest);
	buf_adds(out, "</td></tr>");
}

/* All of them: also rows that never became a document. */
static void add_refused(struct buf *out, const struct lint_page_side *s)
{
	size_t kept = findings_kept(s->refused);

	for (size_t i = 0; i < kept; i++) {
		const struct finding *f = &s->refused->first[i];
		buf_adds(out, "<div><span class=\"refused\">");
		add(out, f->file);
		buf_addf(out, ":%zu: ", f->line);
		add(out, f->text);
		buf_adds(out, "</span></div>\n");
	}
	if (s->refused->n > kept)
		sentence_add(out, "<div>… and %zu rows more are refused</div>\n", s->refused->n - kept);
}

static void add_totals(struct buf *out, const struct lint_page *p, const struct lint_page_side *s)
{
	const struct lint *l = s->lint;
	char text[128];
	buf_adds(out, "<table>");
	add_total(out, "rows", s->rows->n, shape_name(s->rows->shape));
	snprintf(text, sizeof(text), "an end is trained on in %zu", l->n_ended);
	add_total(out, "documents", l->n, text);
	add_total(out, "tokens", l->tokens, "");
	snprintf(text, sizeof(text), "%.1f %% of the tokens",
	         l->tokens ? 100.0 * (double)l->learnt / (double)l->tokens : 0);
	add_total(out, "supervised", l->learnt, text);
	if (s->computed > 0) {
		snprintf(text, sizeof(text), "%.2f times fewer, as shared beginnings are computed once",
		         (double)s->documents->tokens / (double)s->computed);
		add_total(out, "computed", (size_t)s->computed, text);
	}
	if (s->refused->n)
		add_total(out, "refused", s->refused->n, "training would not begin");
	if (l->n_untemplated)
		add_total(out, "no template", l->n_untemplated,
		          "rows train without the model's chat template, which chat and generate apply");
	if (l->empty.n)
		add_total(out, "empty", l->empty.n, "answers of which only the end is trained on");
	if (l->n_truncated)
		add_total(out, "truncated", l->n_truncated, "documents lost their end");
	if (l->n_split)
		add_total(out, "split", l->n_split, "documents more");
	if (l->n_rewritten)
		add_total(out, "not trained on", l->n_rewritten,
		          "assistant turns that the template writes differently once others follow");
	if (l->duplicates.n)
		add_total(out, "duplicates", l->duplicates.n, "");
	if (s != p->sides) {
		struct lint_overlap both = lint_compare(p->sides->lint, l);
		sentence_format(text, sizeof(text), "documents are among the training rows, and %zu prompts",
		                both.prompts);
		add_total(out, "overlap", both.documents, text);
	}
	buf_adds(out, "</table>\n");
	add_refused(out, s);
}

/* Steps over the buckets, whose borders are powers of two. */
static void add_histogram(struct buf *out, const struct lint *l, int32_t max_length)
{
	double x[2 * LINT_BUCKETS], y[2 * LINT_BUCKETS], zero[2 * LINT_BUCKETS] = { 0 };
	size_t first = LINT_BUCKETS, last = 0, n = 0;
	for (size_t i = 0; i < LINT_BUCKETS; i++)
		if (l->histogram[i]) {
			first = MIN(first, i);
			last = i;
		}
	for (size_t i = first; i <= last; i++) {
		x[n] = ldexp(1, (int)i);
		x[n + 1] = ldexp(1, (int)i + 1);
		y[n] = y[n + 1] = (double)l->histogram[i];
		n += 2;
	}
	char text[64];
	snprintf(text, sizeof(text), "max-length %d", max_length);
	struct chart_series s = { .name = "documents", .x = x, .y = y, .low = zero, .high = y, .n = n };
	struct chart_mark mark = { max_length, NAN, text };
	struct chart c = { .title = "lengths",
		           .x_label = "tokens of a document",
		           .y_label = "documents",
		           .x_log = true,
		           .series = &s,
		           .n_series = 1,
		           .marks = &mark,
		           .n_marks = 1 };
	chart_svg(out, &c, 1);
}

void lint_page_write(struct buf *out, const struct lint_page *p)
{
	buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
	              "content=\"width=device-width\">"
	              "<meta name=\"color-scheme\" content=\"light dark\"><title>");
	add(out, p->sides[0].path);
	buf_addf(out, "</title><style>%s</style></head><body>\n<h1>What ", style);
	add(out, p->model);
	buf_adds(out, " would learn</h1>\n");
	for (size_t i = 0; i < p->n_sides; i++) {
		const struct lint_page_side *s = &p->sides[i];
		buf_addf(out, "<h2>%s: ", i ? "Evaluation" : "Training");
		add(out, s->path);
		buf_adds(out, "</h2>\n");
		add_totals(out, p, s);
		add_histogram(out, s->lint, p->max_length);
		add_documents(out, p, s);
	}
	buf_adds(out, "</body></html>\n");
}
