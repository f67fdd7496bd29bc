"""Those on call: they hear what is told on the topic, and answer with credentials of their own."""

import http.client
import json
import threading
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from account import PORT, STACKS, run


class People:
    """Two people who may start, and answer, by the policies of the stack's outputs. `answers` is what each of them says to each
    question."""

    def __init__(self, account, region, answers, by_hand=False):
        self.account, self.region, self.answers, self.by_hand = account, region, list(answers), by_hand
        self.heard, self.answered = [], []
        self.stopped, self.awake = threading.Event(), threading.Event()
        self.awake.set()
        side = next(side for side, site in account.sites.items() if site["region"] == region)
        outputs = account.outputs(STACKS[side], region)
        self.url = outputs["ApprovalUrl"]
        iam = account.client("iam", region)
        self.credentials = []
        for name in ("first", "second"):
            user = f"{name}-on-call-{region}"
            iam.create_user(UserName=user)
            for policy in ("Approvers", "Operators"):
                iam.attach_user_policy(UserName=user, PolicyArn=outputs[policy])
            key = iam.create_access_key(UserName=user)["AccessKey"]
            self.credentials.append(Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
        self._listen(outputs["Topic"])

    def _listen(self, topic):
        queues, topics = self.account.client("sqs", self.region), self.account.client("sns", self.region)
        queue = queues.create_queue(QueueName="on-call")["QueueUrl"]
        attributes = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allowed | {"Resource": arn}]}
        queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        threading.Thread(target=self._hear, args=(queues, queue), daemon=True).start()

    def _hear(self, queues, queue):
        while not self.stopped.is_set():
            received = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in received.get("Messages", []):
                queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                told = json.loads(message["Body"])
                self.heard.append({"subject": told.get("Subject"), "text": told["Message"]})
                question = question_in(told["Message"])
                while question and not self.awake.wait(1) and not self.stopped.is_set():
                    pass
                if self.by_hand:
                    print(f"\n──── a message from {self.region}: {told.get('Subject')}\n{told['Message']}", flush=True)
                if question:
                    for number, credentials in enumerate(self.credentials):
                        answer = self._answer(number)
                        if answer:
                            said = self._say(credentials, question | {"answer": answer, "reason": "as in the scenario"})
                            self.answered.append(said)
                            if self.by_hand:
                                print(f"the answer was taken with HTTP status {said[0]}: {said[1]}", flush=True)

    def _answer(self, number):
        """What the person of this number says; nothing for who sleeps."""
        if not self.by_hand:
            return self.answers[number] if number < len(self.answers) else None
        who = ("first", "second")[number]
        said = input(f"The {who} person on call: approve, decline, or nothing? ").strip()
        return said if said in ("approve", "decline") else None

    def drctl(self, *arguments):
        """What drctl prints, run as the first of them."""
        credentials = self.credentials[0]
        keys = {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
        command = [self.account.programs / "drctl", *arguments, "--plan", self.account.plan_file]
        return run(command, env=self.account.credentials() | keys | {"AWS_REGION": self.region}, cwd=self.account.work)

    def _say(self, credentials, body):
        """Posts an answer, signed, to the function URL. Gives the status and the answer."""
        address = urllib.parse.urlsplit(self.url)
        data = json.dumps(body)
        request = AWSRequest("POST", self.url, data=data, headers={"content-type": "application/json"})
        SigV4Auth(credentials, "lambda", self.region).add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        headers = dict(request.headers) | {"Host": address.netloc, "x-forwarded-proto": "https"}
        connection.request("POST", address.path or "/", body=data, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def question_in(text):
    """The body by which a message's question is approved; None in a message that asks nothing."""
    for line in text.splitlines():
        try:
            body = json.loads(line)
        except ValueError:
            continue
        if isinstance(body, dict) and body.get("answer") == "approve":
            return body
    return None
