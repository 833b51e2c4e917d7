"""A result as JUnit XML, which build servers show: one test suite per contestant, one test case per case."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree as Xml

from qwenlab.evals.case_words import why
from qwenlab.evals.findings import Findings
from qwenlab.evals.result import ContestantResult
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.words import Language

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""
_LEAKED = {
    "en": "Also in the training data, or used to choose the checkpoint: not counted.",
    "zh": "训练数据中也有，或用于选择检查点：不计入。",
}


def to_junit(findings: Findings) -> bytes:
    """UTF-8 XML that keeps to the schema of Ant's JUnit task: cases with errors, failures and skipped (leaked) ones."""
    root = Xml.Element("testsuites")
    for at, contestant in enumerate(findings.contestants):
        root.append(_suite(findings, contestant, at))
    Xml.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="utf-8") + b"\n"


def _suite(findings: Findings, contestant: ContestantResult, at: int) -> Xml.Element:
    result = findings.result
    package = _token(result.suite.name)
    counted = [score for score in contestant.scores if score.case_id not in result.leaked]
    suite = Xml.Element(
        "testsuite",
        {
            "id": str(at),
            "package": package,
            "name": _token(contestant.name),
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(findings.time)),
            "hostname": "localhost",
            "tests": str(len(contestant.scores)),
            "failures": str(sum(not (score.passed or score.errored or score.unjudged) for score in counted)),
            "errors": str(sum(score.errored or score.unjudged is not None for score in counted)),
            "skipped": str(len(contestant.scores) - len(counted)),
            "time": f"{contestant.seconds:.3f}",
        },
    )
    properties = Xml.SubElement(suite, "properties")
    for name, found in contestant.summary.rates.items():
        if found is not None:
            Xml.SubElement(properties, "property", {"name": name, "value": f"{found.value:.6f}"})
    if contestant.repeats is not None:
        for name, value in contestant.repeats.to_json().items():
            if isinstance(value, int | float):
                Xml.SubElement(properties, "property", {"name": f"repeats_{name}", "value": f"{value:g}"})
    Xml.SubElement(properties, "property", {"name": "suite_fingerprint", "value": result.suite.fingerprint()})
    for score in contestant.scores:
        suite.append(_case(score, contestant, f"{package}.{_token(contestant.name)}", findings))
    Xml.SubElement(suite, "system-out")
    Xml.SubElement(suite, "system-err")
    return suite


def _case(score: CaseScore, contestant: ContestantResult, classname: str, findings: Findings) -> Xml.Element:
    answered = contestant.answers.get(score.case_id)
    seconds = answered.wall if answered else 0.0
    case = Xml.Element("testcase", {"name": _token(score.case_id), "classname": classname, "time": f"{seconds:.3f}"})
    language: Language = findings.language
    if score.case_id in findings.result.leaked:
        Xml.SubElement(case, "skipped", {"message": _LEAKED[language]})
    elif not score.passed:
        reasons = why(score, answered, language)
        kind = "error" if score.errored or score.unjudged else "failure"
        about = {"type": kind if kind == "error" else _kind(score), "message": _legal(" ".join(reasons))}
        text = answered.answer.text if answered else ""
        Xml.SubElement(case, kind, about).text = _legal("\n".join([*reasons, "", text]).strip())
    return case


def _kind(score: CaseScore) -> str:
    return "wrong content" if score.usable else "wrong format" if score.document_exact else "wrong format and content"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _token(text: str) -> str:
    """Text as an XML Schema token: no white space around, none twice."""
    return " ".join(_legal(text).split()) or "-"
