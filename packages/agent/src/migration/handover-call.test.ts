import { create } from '@bufbuild/protobuf';
import { type HandoverAnswer, HandoverAnswerSchema } from '@godwit/contract/gen/agent_pb';
import { expect, test } from 'vitest';
import { type Handover, HandoverCall, type Step } from './handover-call.ts';

const clock = (sentAtMs: number): Step => ({ step: { case: 'clock', value: { sentAtMs } } });
const answer = (receivedAtMs: number): HandoverAnswer =>
  create(HandoverAnswerSchema, { answer: { case: 'clock', value: { receivedAtMs } } });

/** Answers each reading of the clock with its own number, until `deaf`. */
const echoing = (deaf: (sentAtMs: number) => boolean): Handover =>
  async function* (steps) {
    for await (const { step } of steps) {
      const sentAtMs = step?.case === 'clock' ? (step.value.sentAtMs ?? 0) : 0;
      if (!deaf(sentAtMs)) yield answer(sentAtMs);
    }
  };

/** Says all it has to say without a question. */
const answering = (answers: Promise<readonly HandoverAnswer[]>): Handover =>
  async function* () {
    yield* await answers;
  };

const numberOf = ({ answer: { case: kind, value } }: HandoverAnswer): number => (kind === 'clock' ? value.receivedAtMs : -1);

test('answers come back to the steps that they are of, in order', async () => {
  const call = new HandoverCall(echoing(() => false));
  const answers = await Promise.all([1, 2, 3].map((number) => call.ask(clock(number), 1_000)));
  expect(answers.map(numberOf)).toEqual([1, 2, 3]);
  expect(numberOf(await call.ask(clock(4), 1_000))).toBe(4);
  call.close();
});

test('an answer that is late breaks the call: a later one could be taken for it', async () => {
  const call = new HandoverCall(echoing((number) => number === 2));
  expect(numberOf(await call.ask(clock(1), 1_000))).toBe(1);
  await expect(call.ask(clock(2), 5)).rejects.toThrow('no answer within 5 ms');
  expect(call.broken).toBe(true);
  await expect(call.ask(clock(3), 1_000)).rejects.toThrow('no answer within 5 ms');
});

test('what waits fails when the destination ends the call, refuses, or is closed', async () => {
  const ended = new HandoverCall(answering(Promise.resolve([])));
  await expect(ended.ask(clock(1), 1_000)).rejects.toThrow('ended the handover');
  const refused = new HandoverCall(answering(Promise.reject(new Error('Forbidden'))));
  await expect(refused.ask(clock(1), 1_000)).rejects.toThrow('Forbidden');
  const closed = new HandoverCall(echoing(() => true));
  const asked = closed.ask(clock(1), 1_000);
  closed.close();
  await expect(asked).rejects.toThrow('closed');
});
