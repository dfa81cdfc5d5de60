/* overview: what the program says of itself: all commands, one command, a group. The order of the commands is
 * theirs (struct command); sections are ranges of it. A group of more than two commands of two words is one line of
 * the overview: `kungfu GROUP` lists it. */
#include "cmd/overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/term.h"

enum { HAVING_MOST = 4, COLUMNS = 80, EXAMPLE_COLUMNS = 51, BRIEF_COLUMNS = 25, NAME_COLUMNS = 18, WHOLE_GROUP = 2 };

static const struct { int order; const char *title;
} sections[] = {
	{ 0, "Try a model" },        { 42, "Teach it your rows" }, { 56, "Look at runs" },
	{ 60, "Take it elsewhere" }, { 70, "What it costs" },
};

static const struct { const char *group, *brief; } group_briefs[] = { { "gas", "costs: what each run took" },
	                                                                 { "data", "rows and token shards" },
	                                                                 { "feedback", "what people say" },
	                                                                 { "index", "documents, searched" } };

/* --- texts --- */

/* The text between two escapes where stdout is a terminal that has colours. */
static const char *bold(void) { return term_color(STDOUT_FILENO) ? "\033[1m" : ""; }
static const char *dim(void) { return term_color(STDOUT_FILENO) ? "\033[2m" : ""; }
static const char *plain(void) { return term_color(STDOUT_FILENO) ? "\033[0m" : ""; }

/* Prints text after `before`, wrapped at spaces, later lines indented as far as the first. */
static void print_wrapped(const char *before, const char *text)
{
	size_t indent = strlen(before);
	printf("%s", before);
	for (;;) {
		size_t whole = strlen(text), n = term_fit(text, whole, COLUMNS - indent);
		while (n < whole && n > 0 && text[n] != ' ')
			n--;
		if (n == 0)
			n = whole;
		printf("%.*s\n", (int)n, text);
		text += n;
		text += strspn(text, " ");
		if (!*text)
			return;
		printf("%*s", (int)indent, "");
	}
}

/* --- a command's help --- */

static void print_line(void *ctx, const char *line)
{
	bool title = *line && *line != ' ' && line[strlen(line) - 1] == ':';
	(void)ctx;
	printf("%s%s%s\n", title ? bold() : "", line, title ? plain() : "");
}

void overview_print_help(const struct command *c)
{
	char *usage = mem_printf("kungfu %s %s", c->name, c->usage);
	print_wrapped("usage: ", usage);
	mem_free(usage);
	printf("\n");
	print_wrapped("", c->summary);
	printf("\n");
	if (c->about)
		c->about();
	if (c->opts->type != OPT_TYPE_GROUP)
		print_line(NULL, "Options:");
	opt_help(c->opts, print_line, NULL);
	printf("\n");
	print_line(NULL, "Example:");
	printf("  %s\n", c->example);
}

/* --- all commands --- */

static size_t command_count(void)
{
	size_t n = 0;
	while (command_table[n])
		n++;
	return n;
}

static int by_order(const void *a, const void *b)
{
	const struct command *x = *(const struct command *const *)a, *y = *(const struct command *const *)b;
	return x->order != y->order ? x->order - y->order : strcmp(x->name, y->name);
}

/* The whole table, sorted; mem_free. */
static const struct command **sorted_commands(size_t *n)
{
	*n = command_count();
	const struct command **sorted = mem_array(*n + 1, sizeof(*sorted));
	memcpy(sorted, command_table, *n * sizeof(*sorted));
	qsort(sorted, *n, sizeof(*sorted), by_order);
	return sorted;
}

char *overview_having(const char *option)
{
	size_t n, found = 0;
	const struct command **all = sorted_commands(&n);
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < n && found <= HAVING_MOST; i++) {
		struct opt_table joined;
		opt_join(&joined, all[i]->opts);
		if (opt_find(joined.rows, option))
			found++ == HAVING_MOST ? buf_adds(&out, " and others") :
			                         buf_addf(&out, "%s%s", out.len ? ", " : "", all[i]->name);
		opt_join_release(&joined);
	}
	mem_free(all);
	if (found)
		return buf_detach(&out, NULL);
	buf_release(&out);
	return NULL;
}

/* Is it one of the commands of two words that begin with this one? */
static bool in_group(const struct command *c, const char *word, size_t n)
{
	return strncmp(c->name, word, n) == 0 && c->name[n] == ' ';
}

static size_t group_size(const char *word, size_t n)
{
	size_t size = 0;
	for (size_t i = 0; command_table[i]; i++)
		size += in_group(command_table[i], word, n);
	return size;
}

bool overview_is_group(const char *word)
{
	for (size_t i = 0; command_table[i]; i++)
		if (strcmp(command_table[i]->name, word) == 0)
			return false;
	return group_size(word, strlen(word)) > 0;
}

static const char *section_of(int order)
{
	size_t i = 0;
	while (i + 1 < ARRAY_LEN(sections) && sections[i + 1].order <= order)
		i++;
	return sections[i].title;
}

/* The summary as far as its first comma or colon, cut at a word where it is still too long. */
static size_t brief_length(const char *summary)
{
	size_t n = strcspn(summary, ",:");
	if (n <= BRIEF_COLUMNS)
		return n;
	for (n = BRIEF_COLUMNS; n > 0 && summary[n] != ' '; n--)
		;
	return n;
}

static void print_example(const struct command *c)
{
	int pad = (int)MAX(EXAMPLE_COLUMNS, strlen(c->example)) - (int)strlen(c->example);
	printf("  %s%*s  %s", c->example, pad, "", dim());
	if (c->brief)
		printf("%s%s\n", c->brief, plain());
	else
		printf("%.*s%s\n", (int)brief_length(c->summary), c->summary, plain());
}

void overview_print_planned(void)
{
	size_t n;
	const struct command **sorted = sorted_commands(&n);
	print_line(NULL, "Commands:");
	for (size_t i = 0; i < n; i++) {
		if (!sorted[i]->plans)
			continue;
		char *name = mem_printf("  %-*s", NAME_COLUMNS, sorted[i]->name);
		print_wrapped(name, sorted[i]->summary);
		mem_free(name);
	}
	printf("\n");
	mem_free(sorted);
}

static void print_group_line(const char *word, size_t n)
{
	char *example = mem_printf("kungfu %.*s …", (int)n, word);
	const char *brief = "a group of commands";
	for (size_t i = 0; i < ARRAY_LEN(group_briefs); i++)
		if (strlen(group_briefs[i].group) == n && strncmp(group_briefs[i].group, word, n) == 0)
			brief = group_briefs[i].brief;
	printf("  %s%*s  %s%s%s\n", example, EXAMPLE_COLUMNS - (int)n - 9, "", dim(), brief, plain());
	mem_free(example);
}

/* Of the group that it is in, whose commands need not stand together. */
static bool is_first(const struct command **sorted, size_t i, size_t word)
{
	for (size_t j = 0; j < i; j++)
		if (in_group(sorted[j], sorted[i]->name, word))
			return false;
	return true;
}

void overview_print(void)
{
	size_t n;
	const struct command **sorted = sorted_commands(&n);
	const char *title = NULL;
	printf("kungfu " KUNGFU_VERSION ": adapts language models to your data, on this machine\n");
	for (size_t i = 0; i < n; i++) {
		const struct command *c = sorted[i];
		size_t word = strcspn(c->name, " ");
		bool whole = c->name[word] && group_size(c->name, word) > WHOLE_GROUP;
		if (section_of(c->order) != title) {
			title = section_of(c->order);
			printf("%s%s:%s\n", bold(), title, plain());
		}
		if (!whole)
			print_example(c);
		else if (is_first(sorted, i, word))
			print_group_line(c->name, word);
	}
	printf("\"kungfu COMMAND --help\" lists a command's options.\n");
	mem_free(sorted);
}

void overview_print_group(const char *word)
{
	size_t n;
	const struct command **sorted = sorted_commands(&n);
	for (size_t i = 0; i < n; i++) {
		if (!in_group(sorted[i], word, strlen(word)))
			continue;
		char *name = mem_printf("  %-*s", NAME_COLUMNS, sorted[i]->name);
		print_wrapped(name, sorted[i]->summary);
		mem_free(name);
		printf("  %*s%s%s%s\n", NAME_COLUMNS, "", dim(), sorted[i]->example, plain());
	}
	mem_free(sorted);
}

/* --- what was meant --- */

/* What commands are called in other tools. */
static const struct { const char *theirs, *ours; } synonyms[] = {
	{ "train", "tune" },       { "finetune", "tune" },      { "fine-tune", "tune" },   { "fit", "tune" },
	{ "pre-train", "pretrain" },
	{ "sft", "tune" },         { "dpo", "tune" },           { "lora", "tune" },        { "adapt", "tune" },
	{ "run", "chat" },         { "talk", "chat" },          { "ask", "generate" },     { "infer", "generate" },
	{ "inference", "generate" }, { "predict", "generate" }, { "complete", "generate" },
	{ "completion", "generate" },
	{ "cli", "generate" },     { "evaluate", "eval" },      { "test", "eval" },        { "perplexity", "score" },
	{ "benchmark", "bench" },  { "list", "runs" },          { "ls", "runs" },          { "ps", "runs" },
	{ "history", "runs" },     { "show", "info" },          { "inspect", "info" },     { "export", "convert" },
	{ "fuse", "merge" },       { "merge-lora", "merge" },   { "continue", "resume" },  { "lint", "data lint" },
	{ "validate", "data lint" }, { "check", "data lint" },  { "estimate", "plan" },    { "cost", "gas show" },
	{ "costs", "gas show" },   { "ledger", "gas show" },    { "compare", "gas compare" },
};

static const char *synonym(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(synonyms); i++)
		if (!strcmp(synonyms[i].theirs, word))
			return synonyms[i].ours;
	return NULL;
}

/* Of a group's commands the one whose second word is near; NULL: none. */
static const char *nearest_in_group(const char *group, const char *second)
{
	size_t n = 0, length = strlen(group);
	const char **names = mem_array(command_count() + 1, sizeof(*names)), *near;

	for (size_t i = 0; command_table[i]; i++)
		if (in_group(command_table[i], group, length))
			names[n++] = command_table[i]->name + length + 1;
	near = opt_nearest(second, names, n);
	for (size_t i = 0; i < n && !near; i++)
		if (*second && !strncmp(names[i], second, strlen(second)))
			near = names[i];
	mem_free(names);
	return near ? near - length - 1 : NULL;
}

/* By what it is called elsewhere, near to the first two words, to the first, or beginning with the first. */
const char *overview_nearest(int argc, char **argv)
{
	size_t n = command_count(), length = strlen(argv[0]);
	if (overview_is_group(argv[0]))
		return nearest_in_group(argv[0], argc > 1 ? argv[1] : "");
	if (synonym(argv[0]))
		return synonym(argv[0]);
	const char **names = mem_array(n + 1, sizeof(*names)), *near;
	char *two = mem_printf("%s %s", argv[0], argc > 1 ? argv[1] : "");
	for (size_t i = 0; i < n; i++)
		names[i] = command_table[i]->name;
	near = opt_nearest(two, names, n);
	if (!near)
		near = opt_nearest(argv[0], names, n);
	for (size_t i = 0; i < n && !near; i++)
		if (length > 0 && strncmp(names[i], argv[0], length) == 0)
			near = names[i];
	mem_free(two);
	mem_free(names);
	return near;
}
