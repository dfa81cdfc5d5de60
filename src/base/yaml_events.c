/* yaml_events: see yaml_events.h. */
#include "base/yaml_events.h"

#include "base/mem.h"

void yaml_events_open(struct yaml_events *y, const char *text, size_t n, const char *where, struct err *e)
{
	*y = (struct yaml_events){ .where = where, .e = e };
	if (!yaml_parser_initialize(&y->parser))
		BUG("libyaml made no parser");
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)text, n);
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
}

int yaml_events_next(struct yaml_events *y)
{
	if (y->open)
		yaml_event_delete(&y->event);
	y->open = yaml_parser_parse(&y->parser, &y->event);
	if (y->open)
		return 0;
	return err_set(y->e, "%s line %zu: %s", y->where, y->parser.problem_mark.line + 1,
	               y->parser.problem ? y->parser.problem : "it is not YAML");
}

int yaml_events_fail(struct yaml_events *y, const char *what)
{
	return err_set(y->e, "%s line %zu: %s", y->where, y->event.start_mark.line + 1, what);
}

void yaml_events_close(struct yaml_events *y)
{
	if (y->open)
		yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
}
