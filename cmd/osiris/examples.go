package main

// Examples of the commands, as --help shows them behind the flags.

const description = `OpenAI chat completions from a durable queue.

Begin with osiris up, and osiris chat --model echo 'Hello!' beside it.

Exit codes: 0 done, 1 it did not work, 2 the command line or a file of requests is faulty, ` +
	`3 a batch has ended and not every request has an answer, 130 interrupted.`

// Help implements kong.HelpProvider.
func (*up) Help() string {
	return `Examples:

	osiris up
	OPENAI_API_KEY=sk-... osiris up --listen :8080 --data-dir ./data
	osiris up --config osiris.yaml`
}

// Help implements kong.HelpProvider.
func (*chat) Help() string {
	return `Examples:

	osiris chat -m echo 'Hello, world!'
	git diff | osiris chat -m echo -s 'Review this.'
	osiris chat -m echo -o temperature=0.2
	OPENAI_API_KEY=sk-... osiris chat --base-url https://api.openai.com/v1 -m gpt-4o 'Hello!'

If the connection, the frontend or the worker breaks off in the middle, the command goes on by itself and writes what is missing. ` +
		`If another worker begins the answer anew and says something else, standard error says so and the new answer follows whole.`
}

// Help implements kong.HelpProvider.
func (*batchSubmit) Help() string {
	return `Examples:

	osiris batch submit questions.jsonl
	osiris batch submit --wait -m echo prompts.txt
	osiris batch submit --wait -m echo -t 'Translate into {language}: {text}' words.csv
	generate | osiris batch submit --wait -o - - > answers.jsonl

Faults of the file are found before anything is sent, in the server's words. With --wait, exit code 3 says that not every request has an answer. ` +
		`Ctrl-C leaves the batch running.`
}

// Help implements kong.HelpProvider.
func (*batchList) Help() string {
	return `Examples:

	osiris batch list
	osiris batch list --limit 100 --json`
}

// Help implements kong.HelpProvider.
func (*batchGet) Help() string {
	return `Example:

	osiris batch get batch_01a2054bd8677c30ba3bbb9993084638`
}

// Help implements kong.HelpProvider.
func (*batchCancel) Help() string {
	return `Example:

	osiris batch cancel batch_01a2054bd8677c30ba3bbb9993084638`
}

// Help implements kong.HelpProvider.
func (*batchResults) Help() string {
	return `Examples:

	osiris batch results --wait batch_01a2054bd8677c30ba3bbb9993084638
	osiris batch results -o - batch_01a2054bd8677c30ba3bbb9993084638 | jq .custom_id

Exit code 3 says that not every request has an answer.`
}

// Help implements kong.HelpProvider.
func (*jobsList) Help() string {
	return `Examples:

	osiris jobs list --state failed --since 24h
	osiris jobs list --tenant default --model echo --json`
}

// Help implements kong.HelpProvider.
func (*jobsShow) Help() string {
	return `Examples:

	osiris jobs show chatcmpl-01a2054bdb477166ae08c91d8b2147f5
	osiris jobs show --json 01a2054bdb477166ae08c91d8b2147f5`
}

// Help implements kong.HelpProvider.
func (*jobsCancel) Help() string {
	return `Example:

	osiris jobs cancel 01a2054bdb477166ae08c91d8b2147f5`
}

// Help implements kong.HelpProvider.
func (*jobsRetry) Help() string {
	return `Example:

	osiris jobs retry 01a2054bdb477166ae08c91d8b2147f5

Only requests with store, background or an Idempotency-Key are kept and can run again, and only when they have failed.`
}

// Help implements kong.HelpProvider.
func (*keysCreate) Help() string {
	return `Examples:

	osiris keys create --name laptop
	osiris keys create --name ci --tenant blue --models echo,openai/gpt-4o --expires 30d
	osiris keys create --name first --nats-url nats://127.0.0.1:4222

The secret goes to standard output, everything else to standard error.`
}

// Help implements kong.HelpProvider.
func (*keysList) Help() string {
	return `Examples:

	osiris keys list
	osiris keys list --nats-url nats://127.0.0.1:4222`
}

// Help implements kong.HelpProvider.
func (*keysRevoke) Help() string {
	return `Example:

	osiris keys revoke laptop`
}

// Help implements kong.HelpProvider.
func (*webhooksCreate) Help() string {
	return `Examples:

	osiris webhooks create https://example.com/osiris
	osiris webhooks create https://example.com/osiris --event batch.completed --event batch.failed --tenant blue

The secret goes to standard output, everything else to standard error.`
}

// Help implements kong.HelpProvider.
func (*webhooksList) Help() string {
	return `Example:

	osiris webhooks list`
}

// Help implements kong.HelpProvider.
func (*webhooksDelete) Help() string {
	return `Example:

	osiris webhooks delete wh_0qXhTNxW8BQSRTsez`
}

// Help implements kong.HelpProvider.
func (*webhooksTest) Help() string {
	return `Example:

	osiris webhooks test wh_0qXhTNxW8BQSRTsez`
}

// Help implements kong.HelpProvider.
func (*configCheck) Help() string {
	return `Examples:

	osiris config check osiris.yaml
	OSIRIS_CONFIG=osiris.yaml osiris config check --frontend`
}

// Help implements kong.HelpProvider.
func (versionCmd) Help() string {
	return `Example:

	osiris version`
}

// Help implements kong.HelpProvider.
func (*benchFloor) Help() string {
	return `Example:

	osiris bench model --listen 127.0.0.1:9000 &
	osiris bench floor --target http://127.0.0.1:9000`
}
