"""Prints the CloudFormation template that the SAM transform makes of a template, as JSON.

CloudFormation does this in an account; this is AWS's own code of it. Local paths of code and definitions stand for what
`sam deploy` uploads. Usage: transform.py TEMPLATE REGION, with a JSON object of the parameters on standard input.
"""

import json
import sys

from boto3.session import Session
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

LOCAL_PATHS = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


def main():
    template_file, region = sys.argv[1:]
    with open(template_file) as file:
        template = yaml_parse(file.read())
    parameters = json.load(sys.stdin)
    for resource in template["Resources"].values():
        path = LOCAL_PATHS.get(resource["Type"])
        if path:
            resource["Properties"][path] = "s3://uploaded/" + resource["Properties"][path].removeprefix("../")
    translator = Translator(
        managed_policy_map={}, sam_parser=Parser(), plugins=[], boto_session=Session(region_name=region)
    )
    json.dump(translator.translate(sam_template=template, parameter_values=parameters), sys.stdout)


if __name__ == "__main__":
    main()
