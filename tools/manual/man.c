/* man: pages in man(7), a page for the program and one for each command. */
#include <stdio.h>
#include <string.h>

#include "manual.h"

#define WIDEST 256

/* Text as roff shows it: a dash that is typed stays one, no line begins a request, nothing is an escape. */
static void put(FILE *f, const char *text)
{
	bool begin = true;
	for (; *text; text++) {
		if (begin && (*text == '.' || *text == '\''))
			fputs("\\&", f);
		if (*text == '-')
			fputs("\\-", f);
		else if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '`')
			fputs("\\(ga", f);
		else if (*text == '^')
			fputs("\\(ha", f);
		else if (*text == '~')
			fputs("\\(ti", f);
		else if (*text == '"')
			fputs("\\(dq", f);
		else
			fputc(*text, f);
		begin = *text == '\n';
	}
}

static void put_capital(FILE *f, const char *text, const char *end)
{
	char first[2] = { text[0], 0 };
	if (first[0] >= 'a' && first[0] <= 'z')
		first[0] = (char)(first[0] - 'a' + 'A');
	put(f, first);
	put(f, text + 1);
	fprintf(f, "%s\n", end);
}

/* "data lint" as "data-lint". */
static void dashed(char out[WIDEST], const char *name)
{
	snprintf(out, WIDEST, "%s", name);
	for (char *c = out; *c; c++)
		if (*c == ' ')
			*c = '-';
}

static void put_title(FILE *f, const char *page, const char *date)
{
	char title[WIDEST + 8];
	snprintf(title, sizeof(title), "%s", page);
	for (char *c = title; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	fprintf(f, ".\\\" made from the tables of options by tools/manual\n.TH %s 1 %s \"kungfu " KUNGFU_VERSION "\" \"User Commands\"\n", title, date);
}

static void put_name(FILE *f, const char *name)
{
	fprintf(f, "\\fB%s", name[1] ? "\\-\\-" : "\\-");
	put(f, name);
	fputs("\\fR", f);
}

static void put_option(FILE *f, const struct opt *o)
{
	fputs(".TP\n", f);
	if (o->alias && !o->alias[1]) {
		put_name(f, o->alias);
		fputs(", ", f);
	}
	put_name(f, o->name);
	if (o->alias && o->alias[1]) {
		fputs(", ", f);
		put_name(f, o->alias);
	}
	if (o->type != OPT_TYPE_FLAG) {
		fputs(" \\fI", f);
		put(f, o->arg ? o->arg : o->type == OPT_TYPE_CHOICE ? o->choices : "VALUE");
		fputs("\\fR", f);
	}
	fputs("\n", f);
	put(f, o->help);
	if (o->type == OPT_TYPE_CHOICE && o->arg && !o->rows) {
		fputs(": ", f);
		put(f, o->choices);
	}
	if (o->type == OPT_TYPE_LIST && !strstr(o->help, "repeated"))
		fputs(" (may be repeated)", f);
	if (o->init && o->type != OPT_TYPE_FLAG) {
		fputs(" (default: ", f);
		put(f, o->init);
		fputs(")", f);
	} else if (o->init && !strcmp(o->init, "true")) {
		fputs(" (default; ", f);
		fputs("\\fB\\-\\-no\\-", f);
		put(f, o->name);
		fputs("\\fR turns it off)", f);
	}
	fputs("\n", f);
}

static void put_end(FILE *f)
{
	fputs(".SH EXIT STATUS\n0: done. 1: failed, with one sentence on standard error. 2: a wrong command line. 3: stopped, and can be resumed.\n", f);
}

static void put_command(FILE *f, const struct command *c, const char *date)
{
	char page[WIDEST], full[WIDEST + 8];

	dashed(page, c->name);
	snprintf(full, sizeof(full), "kungfu-%s", page);
	put_title(f, full, date);
	fputs(".SH NAME\n", f);
	put(f, full);
	fputs(" \\- ", f);
	put(f, c->summary);
	fprintf(f, "\n.SH SYNOPSIS\n\\fBkungfu %s\\fR ", c->name);
	put(f, c->usage);
	fputs("\n.SH DESCRIPTION\n", f);
	put_capital(f, c->summary, ".");
	fputs(".PP\n\\fIMODEL\\fR is a GGUF file or a Hugging Face folder. Options and other words mix in any order;\n"
	      "\\fB\\-\\-name value\\fR and \\fB\\-\\-name=value\\fR are the same, \\fB\\-\\-no\\-name\\fR clears a flag.\n.SH OPTIONS\n", f);
	for (const struct opt *o = options_of(c); o->type != OPT_TYPE_END; o++) {
		if (o->type != OPT_TYPE_GROUP) {
			put_option(f, o);
			continue;
		}
		fputs(".SS ", f);
		put(f, o->name);
		fputs("\n", f);
	}
	fputs(".SH EXAMPLE\n.EX\n", f);
	put(f, c->example);
	fputs("\n.EE\n", f);
	put_end(f);
	fputs(".SH SEE ALSO\n.BR kungfu (1)\n", f);
}

static void put_files(FILE *f)
{
	static const char *const files[][2] = {
		{ "~/.local/state/kungfu/ledger.db", "What every command took: SQLite, readable by its owner alone. \\fB\\-\\-ledger\\fR names another, or off." },
		{ "~/.local/state/kungfu/machine.json", "What this machine can do, as \\fBkungfu bench\\fR measured it; plans rest on it." },
		{ "~/.local/state/kungfu/eva/", "How adapters of \\fB\\-\\-init\\-lora\\-weights eva\\fR begin, as the rows decided." },
		{ "~/.local/state/kungfu/chat_history", "Lines typed in \\fBkungfu chat\\fR." },
		{ "\\fIRUN\\fR/recipe.json", "The options that a run was made with, all of them." },
		{ "\\fIRUN\\fR/metrics.jsonl", "A line for each step and evaluation." },
		{ "\\fIRUN\\fR/run.json", "What the run took in all, and how it ended." },
		{ "\\fIRUN\\fR/checkpoint\\-\\fIN\\fR", "What \\fBkungfu resume\\fR goes on from." },
		{ "\\fIRUN\\fR/adapter_model.safetensors, adapter_config.json", "The adapter, in PEFT's form; of all weights a model's folder." },
		{ "\\fIDIR\\fR/artefact.json", "What \\fBkungfu adapt\\fR chose: the folder is taken wherever a model is." },
		{ "\\fIDIR\\fR/adapt.json, report.html", "Each decision of \\fBkungfu adapt\\fR, which \\fBkungfu resume\\fR goes on from; the same to read." },
		{ "\\fIDIR\\fR/rungs, rungs/round\\-\\fIN\\fR", "What its ways made, at first and of each file of more rows." },
		{ "\\fISTUDY\\fR/study.json, trials/\\fINNNN\\fR", "Each decision of \\fBkungfu search\\fR; its trials, which are runs." },
		{ "\\fIDOCS\\fR.db, .words\\-\\fIN\\fR, .vectors\\-\\fIN\\fR", "An index of \\fBkungfu index\\fR; they belong together." },
		{ "names.yaml", "Names of models, each a path or \\fIpath\\fR, \\fIadapter\\fR and their history: what \\fBkungfu serve\\fR serves and \\fBkungfu promote\\fR moves." },
		{ "keys.yaml", "Of \\fBserve \\-\\-api\\-key\\-file\\fR: names with their \\fIkey\\fR, \\fIbudget\\fR, \\fItop_logprobs\\fR, \\fIforced_logprobs\\fR. SIGHUP reads both anew." },
		{ "learner.json, learner.safetensors", "What \\fBkungfu probe \\-\\-out\\fR keeps." },
		{ "\\fIOUT\\fR.resume.json", "Beside \\fBgenerate \\-\\-out\\fR: what was asked for, so that it can go on." },
	};
	fputs(".SH FILES\n", f);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		fprintf(f, ".TP\n\\fI%s\\fR\n%s\n", files[i][0], files[i][1]);
}

static void put_program(FILE *f, const char *date)
{
	const struct command *all[64];
	char page[WIDEST];
	size_t n = command_list(all);

	put_title(f, "kungfu", date);
	fputs(".SH NAME\nkungfu \\- adapts language models to your data, on this machine\n"
	      ".SH SYNOPSIS\n\\fBkungfu\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n.br\n\\fBkungfu\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR\n"
	      ".SH DESCRIPTION\nOne native program that takes a language model through its life and says what every step cost and what it bought.\n"
	      "It needs no network. Models are GGUF files or Hugging Face folders, adapters are PEFT's files.\n.SH COMMANDS\n", f);
	for (size_t i = 0; i < n; i++) {
		dashed(page, all[i]->name);
		fputs(".TP\n\\fBkungfu\\-", f);
		put(f, page);
		fputs("\\fR(1)\n", f);
		put_capital(f, all[i]->summary, ".");
	}
	fputs(".SH ENVIRONMENT\n.TP\n\\fBKUNGFU_ISA\\fR\nKernels to compute with instead of the best that the processor has: ref, avx2, avxvnni, avx512, avx512vnni, avx512amx (gradients on AMX's tiles, never chosen by itself), neon.\n"
	      ".TP\n\\fBNO_COLOR\\fR\nNo colours, whatever its value.\n"
	      ".TP\n\\fBTERM\\fR\nA terminal called dumb gets no colours and no moving lines.\n"
	      ".TP\n\\fBTMPDIR\\fR\nWhere \\fBkungfu bench\\fR and \\fBgas bench\\fR write what they measure with; /tmp where it is not set.\n"
	      ".TP\n\\fBXDG_STATE_HOME\\fR\nWhere what is kept between runs lies, in a folder kungfu; ~/.local/state where it is not set.\n"
	      ".TP\n\\fBXDG_CONFIG_HOME\\fR\nWhere kungfu/prices.yaml is looked for; ~/.config where it is not set.\n"
	      ".TP\n\\fBHF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME\\fR\nThe cache of models that other tools share: the first that is set, or of HF_HOME the folder hub, of\n"
	      "XDG_CACHE_HOME huggingface/hub; ~/.cache/huggingface/hub where none is.\n"
	      ".TP\n\\fBHF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE\\fR\nWhere \\fBkungfu pull\\fR fetches from, as whom, and that it may not.\n"
	      ".TP\n\\fBUSER, LOGNAME\\fR\nWho moves an alias, in the history that \\fBkungfu promote\\fR keeps.\n"
	      ".TP\n\\fBCOLUMNS\\fR\nHow wide tables may be where standard output is no terminal.\n"
	      ".TP\n\\fBKUNGFU_COUNTERS\\fR\nA folder under which the counters of energy are looked for, instead of /.\n"
	      ".TP\n\\fBHOME\\fR\nThe home folder, for the places below.\n", f);
	put_files(f);
	put_end(f);
	fputs(".SH EXAMPLE\n.EX\n", f);
	for (size_t i = 0; i < n; i++) {
		put(f, all[i]->example);
		fputs("\n", f);
	}
	fputs(".EE\n.SH SEE ALSO\n", f);
	for (size_t i = 0; i < n; i++) {
		dashed(page, all[i]->name);
		fputs(".BR kungfu\\-", f);
		put(f, page);
		fprintf(f, " (1)%s\n", i + 1 < n ? "," : "");
	}
}

static int write_page(const char *dir, const char *page, const struct command *c, const char *date)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/kungfu%s%s.1", dir, c ? "-" : "", page);
	FILE *f = fopen(path, "w");
	if (!f) {
		perror(path);
		return -1;
	}
	if (c)
		put_command(f, c, date);
	else
		put_program(f, date);
	if (ferror(f) | fclose(f)) {
		perror(path);
		return -1;
	}
	return 0;
}

int man_write(const char *dir, const char *date)
{
	const struct command *all[64];
	char page[WIDEST];
	size_t n = command_list(all);
	int status = write_page(dir, "", NULL, date);

	for (size_t i = 0; i < n && status == 0; i++) {
		dashed(page, all[i]->name);
		status = write_page(dir, page, all[i], date);
	}
	return status;
}
